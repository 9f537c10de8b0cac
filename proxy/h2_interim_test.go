package proxy

import (
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"testing"
)

// TestInterimResponsesOverHTTP2: they do not end the stream, be it new or used
// before.
func TestInterimResponsesOverHTTP2(t *testing.T) {
	addr := backend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		body, err := io.ReadAll(r.Body) // sends 100
		if err != nil {
			t.Errorf("backend: %v", err)
		}
		w.Write(body)
	})
	r := newRig(t, map[string]string{"v1": addr}, h2c)
	c := client2(t, nil)
	for range 3 {
		var got []int
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
				got = append(got, code)
				if code == 103 && header.Get("Link") == "" {
					t.Errorf("early hints came without their field: %v", header)
				}
				return nil
			},
		})
		body := strings.Repeat("x", 100_000)
		req, err := http.NewRequestWithContext(ctx, "POST", "http://"+r.addr+"/", io.MultiReader(strings.NewReader(body)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Expect", "100-continue")
		if res, answer := r.do(c, req); res.StatusCode != 200 || answer != body {
			t.Errorf("%d and %d bytes", res.StatusCode, len(answer))
		}
		if !slices.Contains(got, 100) || !slices.Contains(got, 103) {
			t.Errorf("interim responses %v, want 103 and 100", got)
		}
	}
}
