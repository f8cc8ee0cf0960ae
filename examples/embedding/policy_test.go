package main

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/dormousetest"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store/sqlite"
)

// Two weeks on the database of production, in a bubble of time. The database is opened outside of it.
func TestTwoWeeksOnSQLite(t *testing.T) {
	db, err := sqlite.Open("sqlite", filepath.Join(t.TempDir(), "plane.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	store, err := sqlite.New(db, sqlite.Config{})
	if err != nil {
		t.Fatal(err)
	}
	dormousetest.Run(t, dormousetest.Config{Store: store}, func(t *testing.T, k *dormousetest.Kit) {
		ws := k.NewRunning("api", policy)
		_, err := k.SetSchedule(t.Context(), ws.ID, dormouse.Schedule{Hours: "Europe/Berlin Mon-Fri 09:00-18:00"}, dormouse.By("ann"))
		if err != nil {
			t.Fatal(err)
		}
		k.RequireTransition(ws.ID, lifecycle.TransitionStop, time.Now().Add(8*time.Hour))
		tuesday := time.Date(2026, 3, 3, 8, 0, 0, 0, time.UTC)
		k.RequireTransition(ws.ID, lifecycle.TransitionStart, tuesday)
		if !time.Now().Equal(tuesday) {
			t.Errorf("started at %v, want %v", time.Now(), tuesday)
		}
		k.Until(ws.ID, lifecycle.StatusDormant)
		if unused := time.Since(tuesday); unused < policy.TimeTilDormant-24*time.Hour {
			t.Errorf("dormant after only %v\n%s", unused, k.Log())
		}
	})
}
