package gate_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/examples/controlplane/auth"
	"github.com/dormouse-go/dormouse/examples/controlplane/gate"
)

func from(address string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.RemoteAddr = address
	return r
}

// A flood of refusals is a line for each who is refused; later ones are in the next line, and beyond so many all others are one.
func TestRefusalsAreNoFloodOfLines(t *testing.T) {
	var said bytes.Buffer
	g := gate.New(gate.Config{Quiet: time.Hour, Logger: slog.New(slog.NewTextHandler(&said, nil))})
	for range 3 {
		for i := range 12_000 {
			g.Answered(from(fmt.Sprintf("10.0.%d.%d:9", i/250, i%250)), auth.Identity{}, "GET /me", http.StatusUnauthorized)
		}
	}
	if n := strings.Count(said.String(), "\n"); n != 10_001 {
		t.Errorf("%d lines", n)
	}
	said.Reset()
	often := gate.New(gate.Config{Quiet: time.Nanosecond, Logger: slog.New(slog.NewTextHandler(&said, nil))})
	for range 2 {
		often.Answered(from("10.0.0.1:9"), auth.Identity{Token: "abc", Name: "ann"}, "GET /jobs", http.StatusForbidden)
	}
	often.Answered(from("10.0.0.1:9"), auth.Identity{}, "GET /me", http.StatusOK)
	if text := said.String(); strings.Count(text, "times=1") != 2 || strings.Count(text, "token=abc by=ann") != 2 {
		t.Errorf("said\n%s", text)
	}
}

// One has so many requests at once, whoever else asks, and gets them back.
func TestAtOnce(t *testing.T) {
	g := gate.New(gate.Config{Rate: 100_000})
	ann, ben := auth.Identity{Token: "ann"}, auth.Identity{Token: "ben"}
	var held []func()
	for range 1000 {
		release, err := g.Enter(from("10.0.0.1:9"), ann)
		if err != nil {
			break
		}
		held = append(held, release)
	}
	if len(held) == 0 || len(held) > 100 {
		t.Fatalf("%d at once", len(held))
	}
	if _, err := g.Enter(from("10.0.0.1:9"), ben); err != nil {
		t.Errorf("somebody else: %v", err)
	}
	held[0]()
	if _, err := g.Enter(from("10.0.0.1:9"), ann); err != nil {
		t.Errorf("after one has ended: %v", err)
	}
}

// keeper knows one token.
type keeper struct{}

func (keeper) Of(_ context.Context, token string) (auth.Identity, error) {
	if token != "good" {
		return auth.Identity{}, auth.ErrUnknown
	}
	return auth.Identity{Token: token}, nil
}

// Guesses are bounded for an address; who has a valid token behind the same address is let in all the same.
func TestGuessesOfAnAddress(t *testing.T) {
	g := gate.New(gate.Config{Rate: 1, Burst: 10})
	refused := 0
	for range 100 {
		_, err := g.Identify(from("10.0.0.1:9"), keeper{}, "guess")
		if errors.Is(err, gate.ErrTooMany) {
			refused++
		} else if !errors.Is(err, auth.ErrUnknown) {
			t.Fatal(err)
		}
	}
	if refused < 80 {
		t.Errorf("%d of 100 guesses were refused", refused)
	}
	if who, err := g.Identify(from("10.0.0.1:9"), keeper{}, "good"); err != nil || who.Token != "good" {
		t.Errorf("a valid token behind that address: %v", err)
	}
}
