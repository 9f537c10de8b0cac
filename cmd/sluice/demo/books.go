package demo

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
)

// serveBooks answers for a version of books, in JSON. Each answer has an ID and a
// time of its own, as answers do.
func (b *backend) serveBooks(w http.ResponseWriter, r *http.Request) {
	status, body := b.book(r)
	body["request"], body["at"] = fmt.Sprintf("%016x", rand.Uint64()), time.Now().Format(time.RFC3339Nano)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // who has left needs no answer
}

// book returns the status and the body of an answer.
func (b *backend) book(r *http.Request) (int, map[string]any) {
	path, inside := strings.CutPrefix(r.URL.Path, "/books/")
	switch {
	case r.URL.Path == b.broken:
		return http.StatusInternalServerError, map[string]any{"error": "nil pointer"}
	case !inside:
		return http.StatusOK, map[string]any{"books": []string{"3", "17", "42"}}
	case path == "login":
		return http.StatusOK, map[string]any{"token": "demo-" + b.version}
	case r.Method == http.MethodGet:
		return http.StatusOK, map[string]any{"id": path, "title": "Book " + path, "price": b.price()}
	case r.Header.Get("Authorization") != "Bearer demo-"+b.version:
		return http.StatusForbidden, map[string]any{"error": "log in first"}
	case path == "pay":
		return http.StatusCreated, map[string]any{"paid": b.price()}
	}
	return http.StatusOK, map[string]any{"items": 1}
}

// price is what a book costs.
func (b *backend) price() any {
	if b.priceAsText {
		return "12.50"
	}
	return 12.5
}
