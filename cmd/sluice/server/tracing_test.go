package server

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

// TestTracing: a request's span goes to the collector that the file names, and
// the endpoint is told of it.
func TestTracing(t *testing.T) {
	var mu sync.Mutex
	var got collectorpb.ExportTraceServiceRequest
	var key string
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		unzipped, err := gzip.NewReader(r.Body)
		if err != nil {
			t.Error(err)
			return
		}
		body, _ := io.ReadAll(unzipped)
		mu.Lock()
		defer mu.Unlock()
		key = r.Header.Get("X-Key")
		if err := proto.Unmarshal(body, &got); err != nil {
			t.Error(err)
		}
	}))
	defer collector.Close()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "headers"), []byte("X-Key: my-key\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, write(t, dir, plainListener, "state: {backend: memory}",
		`tracing: {endpoint: "`+collector.URL+`", sample: 1, service_name: edge, headers_file: headers}`, web(t, 100, 0)), Options{Version: "v9"})
	stranger(t).get(s.url("", "/one"))
	s.close()
	mu.Lock()
	defer mu.Unlock()
	text := got.String()
	for _, want := range []string{"edge", "v9", "sluice.version", "/one", "sluice.reason", "sluice.request_id"} {
		if !strings.Contains(text, want) {
			t.Errorf("the collector got no %q: %s", want, text)
		}
	}
	if key != "my-key" {
		t.Errorf("the collector's key: %q", key)
	}
	for _, entry := range s.logs.All() {
		if strings.Contains(entry.Message, "my-key") {
			t.Errorf("the log holds the key: %v", entry)
		}
	}
}
