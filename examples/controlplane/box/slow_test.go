//go:build unix

package box

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/dormouse-go/dormouse/examples/internal/slow"
)

// Whoever is slow, or never comes to an end, has no connection for much longer than a minute, and so does not keep a workspace awake.
func TestNobodyIsSlowForLong(t *testing.T) {
	clients := slow.Clients("/", "")
	clients["a page that nobody reads"] = slow.Client{Begin: "GET / HTTP/1.1\r\nHost: x\r\n\r\n", Deaf: true}
	for name, c := range clients {
		t.Run(name, func(t *testing.T) {
			b := &box{folder: t.TempDir(), home: t.TempDir(), name: "api", began: time.Now()}
			synctest.Test(t, func(t *testing.T) {
				if held := slow.Hold(b.server(), c); held > 75*time.Second {
					t.Errorf("held for %s", held)
				}
			})
		})
	}
}
