package main

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/dormouse-go/dormouse/examples/internal/slow"
	"github.com/dormouse-go/dormouse/webui"
	"github.com/dormouse-go/dormouse/webui/webuitest"
)

// Whoever is slow, or never comes to an end, has no connection for much longer than a minute.
func TestNobodyIsSlowForLong(t *testing.T) {
	clients := slow.Clients("/act", "Content-Type: application/x-www-form-urlencoded\r\n")
	for name, path := range map[string]string{"a page": "/", "a stream": "/live"} {
		clients[name+" that nobody reads"] = slow.Client{Begin: "GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n", Deaf: true}
	}
	for name, c := range clients {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fleet := webuitest.New(time.Now())
				pages, err := webui.New(fleet, webui.Config{Viewer: viewer(fleet), Actions: true})
				if err != nil {
					t.Fatal(err)
				}
				if held := slow.Hold(over(pages), c); held > 2*time.Minute {
					t.Errorf("held for %s", held)
				}
			})
		})
	}
}
