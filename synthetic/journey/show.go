package journey

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// ShownBody is how many bytes of a body are kept for people to look at.
const ShownBody = 4 << 10

func (r *run) showRequest(req *http.Request, body []byte) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\nHost: %s\n", req.Method, req.URL.RequestURI(), req.URL.Host)
	r.showFields(&b, req.Header)
	return r.show(b.String(), body, false)
}

func (r *run) showResponse(a *answer) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", a.Status)
	r.showFields(&b, a.Header)
	r.showFields(&b, a.Trailer)
	return r.show(b.String(), a.body, a.long)
}

// show joins a head and the beginning of a body. Both are masked whole before
// anything is cut, since a secret that is cut in two would not be found; a name
// that says that its value is one stands before it.
func (r *run) show(head string, body []byte, long bool) string {
	text := r.values.mask(string(body))
	if len(text) > ShownBody {
		text, long = strings.ToValidUTF8(text[:ShownBody], ""), true
	}
	text = r.values.hideNamed(text)
	if long {
		text += "…"
	}
	head = r.values.mask(head)
	if len(head) > 4*ShownBody {
		head = strings.ToValidUTF8(head[:4*ShownBody], "") + "…\n"
	}
	return r.values.hideNamed(head) + "\n" + text
}

func (r *run) showFields(b *strings.Builder, fields http.Header) {
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		for _, value := range fields[name] {
			if isSecret(name) && !r.values.shows(value) {
				value = "***"
			}
			fmt.Fprintf(b, "%s: %s\n", name, value)
		}
	}
}
