package hpack

import (
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"sluice/proxy/head"
)

// list makes fields of lines "name: value", with the IDs that they must have.
func list(lines ...string) []head.Field {
	var fields []head.Field
	for _, line := range lines {
		at := 1 + strings.Index(line[1:], ": ") // beyond the colon of a pseudo-header field
		name := line[:at]
		fields = append(fields, head.Field{ID: head.Identify(name), Name: name, Value: line[at+2:]})
	}
	return fields
}

// contents returns the dynamic table, the newest entry first, as lines.
func (d *Decoder) contents() []string {
	var lines []string
	for i := len(static); ; i++ {
		e := d.entry(i)
		if e == nil {
			return lines
		}
		text := string(d.table.appendBytes(nil, int(e.start), int(e.name)+int(e.value)))
		lines = append(lines, text[:e.name]+": "+text[e.name:])
	}
}

// example is one header block of RFC 7541, appendix C.
type example struct {
	block  string   // in hexadecimal
	fields []string // what it holds
	table  []string // the dynamic table after it, the newest entry first
	size   int      // the size of that
}

// TestExamplesOfTheRFC decodes the examples of RFC 7541, appendix C; those of
// one name share a connection.
func TestExamplesOfTheRFC(t *testing.T) {
	request := [][]string{
		{":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"},
		{":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com", "cache-control: no-cache"},
		{":method: GET", ":scheme: https", ":path: /index.html", ":authority: www.example.com", "custom-key: custom-value"},
	}
	requestTable := [][]string{
		{":authority: www.example.com"},
		{"cache-control: no-cache", ":authority: www.example.com"},
		{"custom-key: custom-value", "cache-control: no-cache", ":authority: www.example.com"},
	}
	const (
		date1, date2 = "date: Mon, 21 Oct 2013 20:13:21 GMT", "date: Mon, 21 Oct 2013 20:13:22 GMT"
		location     = "location: https://www.example.com"
		cookie       = "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"
	)
	response := [][]string{
		{":status: 302", "cache-control: private", date1, location},
		{":status: 307", "cache-control: private", date1, location},
		{":status: 200", "cache-control: private", date2, location, "content-encoding: gzip", cookie},
	}
	responseTable := [][]string{
		{location, date1, "cache-control: private", ":status: 302"},
		{":status: 307", location, date1, "cache-control: private"},
		{cookie, "content-encoding: gzip", date2},
	}
	for _, c := range []struct {
		name     string
		size     int // of the dynamic table, 0 for the default
		examples []example
	}{
		{"C.2.1", 0, []example{{"400a637573746f6d2d6b65790d637573746f6d2d686561646572",
			[]string{"custom-key: custom-header"}, []string{"custom-key: custom-header"}, 55}}},
		{"C.2.2", 0, []example{{"040c2f73616d706c652f70617468", []string{":path: /sample/path"}, nil, 0}}},
		{"C.2.3", 0, []example{{"100870617373776f726406736563726574", []string{"password: secret"}, nil, 0}}},
		{"C.2.4", 0, []example{{"82", []string{":method: GET"}, nil, 0}}},
		{"C.3", 0, []example{
			{"828684410f7777772e6578616d706c652e636f6d", request[0], requestTable[0], 57},
			{"828684be58086e6f2d6361636865", request[1], requestTable[1], 110},
			{"828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565", request[2], requestTable[2], 164},
		}},
		{"C.4", 0, []example{
			{"828684418cf1e3c2e5f23a6ba0ab90f4ff", request[0], requestTable[0], 57},
			{"828684be5886a8eb10649cbf", request[1], requestTable[1], 110},
			{"828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf", request[2], requestTable[2], 164},
		}},
		{"C.5", 256, []example{
			{"4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d546e1768747470733a2f2f7777772e6578616d706c652e636f6d",
				response[0], responseTable[0], 222},
			{"4803333037c1c0bf", response[1], responseTable[1], 222},
			{"88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b2076657273696f6e3d31",
				response[2], responseTable[2], 215},
		}},
		{"C.6", 256, []example{
			{"488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3",
				response[0], responseTable[0], 222},
			{"4883640effc1c0bf", response[1], responseTable[1], 222},
			{"88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
				response[2], responseTable[2], 215},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var d Decoder
			if c.size > 0 {
				d.resize(c.size)
			}
			for i, e := range c.examples {
				block, err := hex.DecodeString(e.block)
				if err != nil {
					t.Fatal(err)
				}
				r, err := d.Decode(block, nil, nil, 4096, 100)
				if err != nil || r.TooLarge || r.Malformed {
					t.Fatalf("block %d: %v, %+v", i+1, err, r)
				}
				if want := list(e.fields...); !slices.Equal(r.Fields, want) {
					t.Errorf("block %d is\n%q, want\n%q", i+1, r.Fields, want)
				}
				if got := d.contents(); !slices.Equal(got, e.table) {
					t.Errorf("after block %d the table has\n%q, want\n%q", i+1, got, e.table)
				}
				if d.table != nil && d.table.size != e.size {
					t.Errorf("after block %d the table counts %d, want %d", i+1, d.table.size, e.size)
				}
			}
		})
	}
}

// TestIntegersOfTheRFC is RFC 7541, appendix C.1.
func TestIntegersOfTheRFC(t *testing.T) {
	for _, c := range []struct {
		prefix uint
		v      int
		want   string
	}{
		{5, 10, "0a"}, {5, 1337, "1f9a0a"}, {8, 42, "2a"},
		{7, 126, "7e"}, {7, 127, "7f00"}, {4, 15, "0f00"}, {7, 254, "7f7f"}, {7, 255, "7f8001"},
	} {
		got := appendInteger(nil, 0, c.prefix, c.v)
		if hex.EncodeToString(got) != c.want {
			t.Errorf("%d with %d bits is %x, want %s", c.v, c.prefix, got, c.want)
		}
		r := reading{in: got}
		if v, err := r.integer(c.prefix); v != c.v || err != nil || len(r.in) > 0 {
			t.Errorf("%x with %d bits is %d, %v, want %d", got, c.prefix, v, err, c.v)
		}
	}
}
