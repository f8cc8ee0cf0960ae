//go:build linux

package main

import (
	"context"
	"log/slog"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/quartz"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/examples/controlplane/api"
	"github.com/dormouse-go/dormouse/examples/controlplane/auth"
	"github.com/dormouse-go/dormouse/examples/controlplane/gate"
	"github.com/dormouse-go/dormouse/examples/internal/slow"
	"github.com/dormouse-go/dormouse/store/memory"
)

// everybody is a keeper to whom a token is its kind.
type everybody struct{ api.Keeper }

func (everybody) Of(_ context.Context, token string) (auth.Identity, error) {
	if token == "" {
		return auth.Identity{}, auth.ErrUnknown
	}
	return auth.Identity{Token: token, Kind: auth.Kind(token), Name: "ann"}, nil
}

// Whoever is slow, or never comes to an end, has no connection to the API for much longer than a minute, with a token and without one.
func TestNobodyIsSlowForLong(t *testing.T) {
	for name, c := range slow.Clients("/api/v1/workspaces", "Content-Type: application/json\r\nAuthorization: Bearer owner\r\n") {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				quiet := slog.New(slog.DiscardHandler)
				store := memory.New()
				plane, err := dormouse.New(store, dormouse.Config{Logger: quiet})
				if err != nil {
					t.Fatal(err)
				}
				routes := api.New(api.Config{Plane: plane, Store: store, Keeper: everybody{}, Clock: quartz.NewReal(), Logger: quiet, Gate: gate.New(gate.Config{Logger: quiet})})
				defer routes.Close()
				mux := http.NewServeMux()
				mux.Handle("/api/", routes)
				if held := slow.Hold((&server{log: quiet}).over(bounded(mux)), c); held > 2*time.Minute {
					t.Errorf("held for %s", held)
				}
			})
		})
	}
}
