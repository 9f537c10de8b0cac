package configs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sandbox makes a directory with the files that the good fixtures name.
func sandbox(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cert, key := selfSigned(t)
	write(t, filepath.Join(dir, "certs/shop.pem"), cert)
	write(t, filepath.Join(dir, "certs/shop.key"), key)
	write(t, filepath.Join(dir, "certs/other.key"), secondKey(t))
	write(t, filepath.Join(dir, "keys/override.key"), strings.Repeat("k", 32)+"\r\n")
	write(t, filepath.Join(dir, "keys/hook.key"), strings.Repeat("h", 32)+"\n")
	write(t, filepath.Join(dir, "keys/otel.headers"), "# ours\nX-Key: secret\r\n")
	write(t, filepath.Join(dir, "schema.json"), `{"type": "object", "required": ["token"]}`)
	write(t, filepath.Join(dir, "tokens"), "deployer hash\n")
	return dir
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func selfSigned(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"shop.example.com"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return encode("CERTIFICATE", der), encode("PRIVATE KEY", pkcs8)
}

func secondKey(t *testing.T) string {
	t.Helper()
	_, key := selfSigned(t)
	return key
}

func encode(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
