package configs

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// The content of the files that secure an upstream is part of the
// configuration, so that a change of theirs is one.
func TestUpstreamTLSIsRead(t *testing.T) {
	const service = `services: {web: {versions: {v1: {endpoints: ["127.0.0.1:9001"], weight: 1}}, upstream: {tls: TLS}}}`
	dir := sandbox(t)
	name := filepath.Join(dir, "sluice.yaml")
	parsed := func(tls string) *UpstreamTLS {
		t.Helper()
		f, err := Parse(name, bytes.ReplaceAll([]byte(service), []byte("TLS"), []byte(tls)), nil)
		if err != nil {
			t.Fatal(err)
		}
		return f.Services["web"].Upstream.TLS
	}
	if got := parsed("{}"); got == nil || got.CAPEM != nil {
		t.Errorf("empty: %+v", got)
	}
	got := parsed("{ca: certs/shop.pem, cert: certs/shop.pem, key: certs/shop.key, server_name: web.internal}")
	for file, read := range map[string][]byte{"shop.pem": got.CAPEM, "shop.key": got.KeyPEM.Bytes()} {
		want, err := os.ReadFile(filepath.Join(dir, "certs", file))
		if err != nil || !bytes.Equal(read, want) {
			t.Errorf("%s: read %q, %v", file, read, err)
		}
	}
	if !bytes.Equal(got.CertPEM, got.CAPEM) || got.ServerName != "web.internal" {
		t.Errorf("got %+v", got)
	}
}
