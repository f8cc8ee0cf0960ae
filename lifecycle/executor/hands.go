package executor

import "sync"

// hands do the builds of a group, some at a time. They stay until the group ends: a goroutine for each build would grow its
// stack anew each time, which cost as much as deciding on it. One goroutine gives them their work.
type hands struct {
	// most is how many there may be. Whoever gives work sees to it that no more is in hand.
	most int
	work func(*work)

	feed  chan work
	count int
	busy  sync.WaitGroup
}

// give has a build done: by hands that wait for work, else by new ones.
func (h *hands) give(w work) {
	if h.feed == nil {
		h.feed = make(chan work)
	}
	if h.count >= h.most {
		h.feed <- w // some are about to be free
		return
	}
	select {
	case h.feed <- w:
	default:
		h.count++
		h.busy.Go(func() { h.serve(w) })
	}
}

func (h *hands) serve(w work) {
	for more := true; more; w, more = <-h.feed {
		h.work(&w)
	}
}

// finish waits until everything is done.
func (h *hands) finish() {
	if h.feed != nil {
		close(h.feed)
	}
	h.busy.Wait()
}
