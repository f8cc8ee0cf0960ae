package executor

import (
	"sync"
	"time"

	"github.com/coder/quartz"
)

// hintPause is the least time between two ticks that messages of other processes cause: anybody who may connect to the database
// may send one. It is lost in what a tick is late anyway; tag "hint".
const hintPause = 50 * time.Millisecond

// hints pass messages on to a loop: at once after a quiet time, and what comes within hintPause together at the end of it.
type hints struct {
	clock quartz.Clock
	pass  func()

	mu      sync.Mutex
	last    time.Time
	waiting bool
}

func (h *hints) hint() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waiting {
		return
	}
	now := h.clock.Now("executor", "hint")
	if wait := h.last.Add(hintPause).Sub(now); wait > 0 {
		h.waiting = true
		h.clock.AfterFunc(wait, h.late, "executor", "hint")
		return
	}
	h.last = now
	h.pass()
}

func (h *hints) late() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiting, h.last = false, h.clock.Now("executor", "hint")
	h.pass()
}
