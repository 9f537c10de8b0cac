package hpack

import (
	"bytes"
	"encoding/hex"
	"math"
	"strconv"
	"strings"
	"testing"

	twin "golang.org/x/net/http2/hpack"
	"pgregory.net/rapid"
)

func TestEachStaticNameIsFound(t *testing.T) {
	for i := 15; i < len(static); i++ {
		name := static[i].Name
		for _, n := range []string{name, strings.ToUpper(name), strings.ToUpper(name[:1]) + name[1:]} {
			if got := staticName(n); got != i {
				t.Errorf("%q has index %d, want %d", n, got, i)
			}
		}
		for _, n := range []string{name + "x", name[1:], name[:1] + "\x00" + name[1:]} {
			if got := staticName(n); got != 0 && static[got].Name != n {
				t.Errorf("%q passes for %q", n, static[got].Name)
			}
		}
	}
	if got := staticName(""); got != 0 {
		t.Errorf("the empty name has index %d", got)
	}
}

// TestEncodingOfFields has the bytes, in hexadecimal.
func TestEncodingOfFields(t *testing.T) {
	for _, c := range []struct {
		name  string
		block []byte
		want  string
	}{
		{"200", AppendStatus(nil, 200), "88"},
		{"500", AppendStatus(nil, 500), "8e"},
		{"103", AppendStatus(nil, 103), "0803313033"},
		{"a body of 0 bytes", AppendContentLength(nil, 0), "0f0d0130"},
		{"the longest body", AppendContentLength(nil, math.MaxInt64), "0f0d13" + hex.EncodeToString([]byte("9223372036854775807"))},
		{"a static name", AppendField(nil, "Server", "x"), "0f270178"},
		{"a low static name", AppendField(nil, "accept-charset", "x"), "0f000178"},
		{"a name of its own", AppendField(nil, "X-A", "b"), "0003782d610162"},
		{"an empty value", AppendField(nil, "x", ""), "00017800"},
		{"a cookie that is set", AppendField(nil, "Set-Cookie", "a=b"), "1f2803613d62"},
		{"credentials", AppendField(nil, "Authorization", "x"), "1f080178"},
		{"credentials for a proxy", AppendField(nil, "Proxy-Authorization", "x"), "1f220178"},
		{"a short cookie", AppendField(nil, "cookie", "a=b"), "1f1103613d62"},
		{"a cookie", AppendField(nil, "cookie", "abcdefghijklmnopqrst"), "0f1114" + hex.EncodeToString([]byte("abcdefghijklmnopqrst"))},
		{"the table", AppendTableSizeZero(nil), "20"},
	} {
		if got := hex.EncodeToString(c.block); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// TestTheTwinDecodesWhatIsEncoded also sees to it that nothing is taken into its
// table, which has no room.
func TestTheTwinDecodesWhatIsEncoded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		status, length := rapid.IntRange(100, 599).Draw(t, "status"), rapid.Int64Range(0, math.MaxInt64).Draw(t, "length")
		block := AppendContentLength(AppendStatus(AppendTableSizeZero([]byte("before")), status), length)
		want := []twin.HeaderField{{Name: ":status", Value: strconv.Itoa(status)}, {Name: "content-length", Value: strconv.FormatInt(length, 10)}}
		for range rapid.IntRange(0, 10).Draw(t, "fields") {
			name := rapid.OneOf(rapid.StringMatching(`[A-Za-z0-9!#$%&'*+.^_|~-]{0,140}`), rapid.Map(rapid.IntRange(15, 61), func(i int) string { return static[i].Name })).Draw(t, "name")
			value := rapid.OneOf(rapid.StringMatching(`[ -~]{0,30}`), rapid.StringN(0, 300, -1)).Draw(t, "value")
			block = AppendField(block, name, value)
			lower := strings.ToLower(name)
			secret := lower == "set-cookie" || lower == "authorization" || lower == "proxy-authorization" || lower == "cookie" && len(value) < 20
			want = append(want, twin.HeaderField{Name: lower, Value: value, Sensitive: secret})
		}
		block, found := bytes.CutPrefix(block, []byte("before"))
		got, err := twin.NewDecoder(0, nil).DecodeFull(block)
		if !found || err != nil || len(got) != len(want) {
			t.Fatalf("block %x: %v, %d fields, want %d", block, err, len(got), len(want))
		}
		for i := range got {
			if got[i] != want[i] {
				t.Fatalf("block %x: field %d is %+v, want %+v", block, i, got[i], want[i])
			}
		}
	})
}
