package acquirer

import (
	"context"
	"time"

	"github.com/dormouse-go/dormouse/internal/backoff"
)

// hearing is whether announcements come through, and when the next backup is.
type hearing struct {
	listening bool
	// gapAt is when listening last began, and heardAt when we last heard ourselves.
	gapAt, heardAt time.Time
	// deaf: our own voice did not come back in time.
	deaf bool
	// plan is the number of the backup that is planned; others are stale. behind: one is due because messages
	// were lost.
	plan   uint64
	behind bool
}

func (h *hearing) well() bool { return h.listening && !h.deaf }

// listenLoop keeps listening. Each time it begins anew, whatever was sent meanwhile is lost, and the backup
// runs at once; until then, and until our own voice comes back, it runs every [Config.Poll].
func (a *Acquirer) listenLoop(ctx, _ context.Context) {
	if a.pubsub == nil {
		a.backupSoon()
		return
	}
	a.backupSoon()
	for failures := 0; ; failures++ {
		begun := a.clock.Now()
		err := a.pubsub.Listen(ctx, (*ear)(a))
		if ctx.Err() != nil {
			return
		}
		a.setHearing(false)
		a.metrics.reconnected()
		if a.clock.Since(begun) > a.cfg.BackoffMax {
			failures = 0
		}
		pause := backoff.Doubled(a.cfg.Backoff, failures, a.cfg.BackoffMax)
		a.cfg.Logger.Warn("listening ended", "again_in", pause, "error", err)
		if !a.pause(ctx, pause, "listen") {
			return
		}
	}
}

// setHearing notes whether we listen; when that ends, the backup is not put off any longer than a poll.
func (a *Acquirer) setHearing(listening bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	was := a.hearing.well()
	a.hearing.listening = listening
	a.hearing.deaf = false
	a.hearing.gapAt = a.clock.Now()
	if was && !listening {
		a.scheduleBackup(jitter(a.cfg.Poll))
	}
}

// checkHearing is called once in a while by the ping: a connection that is dead in one direction gives no
// error.
func (a *Acquirer) checkHearing() {
	a.mu.Lock()
	defer a.mu.Unlock()
	h := &a.hearing
	last := h.heardAt
	if h.gapAt.After(last) {
		last = h.gapAt
	}
	deaf := h.listening && a.clock.Since(last) > 2*a.cfg.Ping+a.cfg.Ping/2
	if deaf && !h.deaf {
		a.cfg.Logger.Warn("own announcements do not come back", "since", a.clock.Since(last))
		a.scheduleBackup(0)
	}
	h.deaf = deaf
}

// ping says something to ourselves, again and again.
func (a *Acquirer) ping() {
	if a.pubsub == nil {
		return
	}
	a.checkHearing()
	a.post.pinged()
	a.agenda.after(jitter(a.cfg.Ping), a.ping)
}

// ear is the acquirer as a [queue.Listener].
type ear Acquirer

// Gap implements [queue.Listener].
func (e *ear) Gap() {
	a := (*Acquirer)(e)
	a.setHearing(true)
	a.backupSoon()
}

// Message implements [queue.Listener].
func (e *ear) Message(text string) {
	a := (*Acquirer)(e)
	m, err := parseMessage(text)
	if err != nil {
		// Whatever it was, it may have stood for something that matters.
		a.cfg.Logger.Warn("announcement not understood", "error", err)
		a.backupSoon()
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if m.Process == a.process {
		if m.Ping {
			a.hearing.heardAt = a.clock.Now()
			a.hearing.deaf = false
		}
		return
	}
	a.hear(m)
}

// hear acts on another process's message. The caller holds the lock.
func (a *Acquirer) hear(m message) {
	now := a.clock.Now()
	for _, n := range m.Jobs {
		a.hearJobs(n, source{m.Process, m.Seq}, now)
	}
	for _, n := range m.Taken {
		a.hall.taken(n.lane(), source{n.Process, n.Seq})
	}
	for _, id := range m.Freed {
		a.hall.free(id)
		if org, ok := a.hall.orgs[id]; ok && org.waits() {
			a.lookSoon(id) // what the limit stopped may never have been announced to us
		}
	}
	for _, lease := range m.Cancel {
		a.canceled(lease)
	}
}

// hearJobs marks a lane. If enough others come before us in turn, it is left to them for a while; each further
// place waits one [Config.Grace] longer.
func (a *Acquirer) hearJobs(n laneNote, s source, now time.Time) {
	lane := n.lane()
	a.consider(lane, n.Count, now)
	turn := a.turnOf(lane, s, n.Count)
	state := a.hall.postTheirs(lane, n.From, s, turn > 0)
	if state == nil || !state.turn.theirs {
		return
	}
	mark := state.turn.mark
	a.agenda.after(time.Duration(turn)*jitter(a.cfg.Grace), func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.hall.turnOver(state, mark)
	})
}
