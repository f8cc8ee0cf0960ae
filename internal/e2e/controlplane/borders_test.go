package controlplane_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// certify makes a certificate of this machine that nobody else trusts.
func certify(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// With a certificate everything goes over TLS, what workers say too, and the warm pool hands out what runs.
func TestTLSAndWarmPool(t *testing.T) {
	w := newWorld(t)
	cert, key := certify(t, t.TempDir())
	metrics := freeAddress(t)
	r := w.startTLS("-tls-cert", cert, "-tls-key", key, "-demo=true", "-pool", "1", "-metrics", metrics)
	ann := r.as("ann")
	w.until("the pool to be warm", func() bool {
		pools := call[struct {
			Items []struct{ Ready int }
		}](r.as("admin"), "GET", "/pools", "")
		return len(pools.Items) == 1 && pools.Items[0].Ready == 1
	})
	claimed := call[struct {
		Workspace dormouse.Workspace
		Source    string
	}](ann, "POST", "/pools/sandbox/claims", `{"name":"at once"}`, "Idempotency-Key", "k")
	if claimed.Source != "warm" || claimed.Workspace.Owner != "ann" || claimed.Workspace.Status != lifecycle.StatusRunning || !answers(claimed.Workspace.Result) {
		t.Errorf("claimed %+v", claimed)
	}
	for url, want := range map[string]int{"http://" + metrics + "/metrics": 200, "http://" + metrics + "/": 404, "http://" + metrics + "/api/v1/me": 404, r.url() + "/metrics": 303} {
		stay := http.Client{Transport: client.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		response, err := stay.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%s: %s", url, response.Status)
		}
	}
}

// An owner's stream has what happened to their workspaces, and to no other.
func TestEventsOfAnOwner(t *testing.T) {
	w := newWorld(t)
	r := w.start("-pool", "0", "-workers", "0")
	ws := r.as("ann").create("mine", "")
	theirs := r.as("ben").create("theirs", "")
	request, err := http.NewRequestWithContext(t.Context(), "GET", r.url()+"/api/v1/events?after=0", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+w.token("ann"))
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		var e dormouse.Event
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			t.Fatalf("%s: %v", data, err)
		}
		if e.WorkspaceID == theirs.ID {
			t.Error("what happened to somebody else is told")
		}
		if e.WorkspaceID == ws.ID {
			return
		}
	}
	t.Error("what happened is not told")
}
