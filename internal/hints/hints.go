// Package hints bounds what messages can make a process do. Whoever may connect to a database may send some, as many as they like,
// so a message is a hint to look, and looks that hints cause have a pause between them.
package hints

import (
	"sync"
	"time"

	"github.com/coder/quartz"
)

// Gate passes hints on: at once after a quiet time, and what comes within the pause together at the end of it. It is safe for
// concurrent use.
type Gate struct {
	clock quartz.Clock
	pause time.Duration
	pass  func()
	tag   string

	mu      sync.Mutex
	last    time.Time
	waiting bool
}

// NewGate returns a gate that calls pass, which must not block or call the gate. The tag names its timers, beside "hint".
func NewGate(clock quartz.Clock, pause time.Duration, tag string, pass func()) *Gate {
	return &Gate{clock: clock, pause: pause, pass: pass, tag: tag}
}

// Hint says that there may be something to see. It does not block.
func (g *Gate) Hint() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.waiting {
		return
	}
	now := g.clock.Now(g.tag, "hint")
	if wait := g.last.Add(g.pause).Sub(now); wait > 0 {
		g.waiting = true
		g.clock.AfterFunc(wait, g.late, g.tag, "hint")
		return
	}
	g.last = now
	g.pass()
}

func (g *Gate) late() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting, g.last = false, g.clock.Now(g.tag, "hint")
	g.pass()
}
