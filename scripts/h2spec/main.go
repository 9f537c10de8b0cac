// Command h2spec starts a Sluice and runs the conformance tests of
// github.com/summerwind/h2spec against it, in the clear and over TLS:
//
//	h2spec BIN/SLUICE BIN/H2SPEC
//
// The directory tool is the module that the tests are built from: what they
// need is not among the product's dependencies.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: h2spec BIN/SLUICE BIN/H2SPEC")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "h2spec:", err)
		os.Exit(1)
	}
}

// run starts a backend and Sluice before it, and tests both its ports.
func run(sluice, h2spec string) error {
	dir, err := os.MkdirTemp("", "h2spec")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, strings.Repeat("x", 200))
	}))
	defer backend.Close()
	clear, secure, err := freePorts()
	if err != nil {
		return err
	}
	if err := writeFiles(dir, clear, secure, strings.TrimPrefix(backend.URL, "http://")); err != nil {
		return err
	}
	cmd := exec.Command(sluice, "serve", "-c", filepath.Join(dir, "sluice.yaml"))
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	defer cmd.Wait()
	defer cmd.Process.Signal(syscall.SIGTERM)
	for _, port := range []int{clear, secure} {
		if err := await(port); err != nil {
			return err
		}
		if err := test(h2spec, port, port == secure); err != nil {
			return err
		}
	}
	return nil
}

// test runs all tests against a port, and shows what they say if one fails.
func test(h2spec string, port int, tls bool) error {
	args := []string{"--strict", "--host", "127.0.0.1", "--port", strconv.Itoa(port), "--timeout", "5"}
	if tls {
		args = append(args, "--tls", "--insecure")
	}
	out, err := exec.Command(h2spec, args...).CombinedOutput()
	if err != nil {
		os.Stdout.Write(out)
		return fmt.Errorf("TLS %v: %w", tls, err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	fmt.Printf("TLS %v: %s\n", tls, lines[len(lines)-1])
	return nil
}

// freePorts returns two ports that nobody listened on just now.
func freePorts() (a, b int, err error) {
	var ports [2]int
	for i := range ports {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, 0, err
		}
		defer ln.Close()
		ports[i] = ln.Addr().(*net.TCPAddr).Port
	}
	return ports[0], ports[1], nil
}

// await waits until something listens on the port.
func await(port int) error {
	deadline := time.Now().Add(10 * time.Second)
	for {
		nc, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err == nil {
			return nc.Close()
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("sluice does not listen: %w", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// writeFiles writes Sluice's file and a certificate.
func writeFiles(dir string, clear, secure int, backend string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	file := fmt.Sprintf(`listeners:
  - {name: clear, address: "127.0.0.1:%d", protocols: [h2c]}
  - {name: secure, address: "127.0.0.1:%d", protocols: [h1, h2], tls: {certificates: [{cert: cert.pem, key: key.pem}]}}
admin: {address: "127.0.0.1:0"}
state: {backend: memory}
log: {access: {mode: off}}
services: {web: {versions: {v1: {endpoints: ["%s"], weight: 100}}}}
`, clear, secure, backend)
	for name, text := range map[string][]byte{
		"sluice.yaml": []byte(file),
		"cert.pem":    pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}),
		"key.pem":     pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}
