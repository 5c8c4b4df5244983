package gateway_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-gateway/parley/gateway"
	"github.com/parley-gateway/parley/gateway/ops"
)

// certificateFiles makes a self-signed certificate for the three hosts.
func certificateFiles(t *testing.T) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"desk.localhost", "chat.localhost", "files.localhost"}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for path, text := range map[string][]byte{cert: certPEM, key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM(certPEM)
	return cert, key, pool
}

func TestTLS(t *testing.T) {
	cert, key, pool := certificateFiles(t)
	s := start(t, gateway.Options{TLSCert: cert, TLSKey: key, Origins: gateway.Origins{
		Desk: "https://desk.localhost:0", Chat: "https://chat.localhost:0", Files: "https://files.localhost:0",
	}}, all())
	s.client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://desk.localhost/", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if got := res.Header.Get("Strict-Transport-Security"); !strings.Contains(got, "max-age=") {
		t.Errorf("Strict-Transport-Security = %q", got)
	}
	if got := res.Header.Get("Content-Security-Policy"); !strings.Contains(got, "connect-src 'self' wss://desk.localhost:") {
		t.Errorf("Content-Security-Policy = %q, want secure sockets to the desk", got)
	}
	if res.ProtoMajor != 1 || res.StatusCode != 200 {
		t.Errorf("%s %d, want HTTP/1.1 200", res.Proto, res.StatusCode)
	}
	if _, err := tls.Dial("tcp", s.Addr().String(), &tls.Config{RootCAs: pool, ServerName: "desk.localhost", MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 was accepted")
	}
}

func TestHTTPOriginWithCertificate(t *testing.T) {
	cert, key, _ := certificateFiles(t)
	_, err := gateway.New(t.Context(), gateway.Options{Listen: "127.0.0.1:0", TLSCert: cert, TLSKey: key, Origins: gateway.Origins{
		Desk: "http://desk.localhost:0", Chat: "https://chat.localhost:0", Files: "https://files.localhost:0",
	}, Log: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry(), Health: ops.NewHealth()})
	if err == nil || !strings.Contains(err.Error(), "want https") {
		t.Errorf("New = %v, want it to ask for https", err)
	}
}
