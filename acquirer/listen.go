package acquirer

import (
	"context"
	"time"

	"github.com/dormouse-go/dormouse/internal/dispatch"
	"github.com/dormouse-go/dormouse/internal/outcall"
)

// listening is whether announcements of other processes come through. Guarded by Acquirer.mu.
type listening struct {
	connected bool
	// since is when listening last began or ended, and pingAt when a message of our own last came back.
	since, pingAt time.Time
	// deaf: our own messages did not come back in time.
	deaf bool
}

func (l *listening) well() bool { return l.connected && !l.deaf }

// set notes whether we listen from now on.
func (l *listening) set(connected bool, now time.Time) {
	l.connected, l.deaf, l.since = connected, false, now
}

// pinged notes that a message of our own came back.
func (l *listening) pinged(now time.Time) { l.pingAt, l.deaf = now, false }

// check notes whether our own messages come back: a connection that is dead in one direction gives no error. It reports
// for how long none came back if that is news.
func (l *listening) check(now time.Time) (silence time.Duration, news bool) {
	last := l.pingAt
	if l.since.After(last) {
		last = l.since
	}
	silence = now.Sub(last)
	was := l.deaf
	l.deaf = l.connected && silence > 2*pingPeriod+pingPeriod/2
	return silence, l.deaf && !was
}

// listenLoop keeps listening. Each time it begins anew, whatever was sent meanwhile is lost, and the backup
// runs at once; until then, and until our own messages come back, it runs every [Config.Poll].
func (a *Acquirer) listenLoop(ctx context.Context) {
	a.backupNow()
	if a.pubsub == nil {
		return
	}
	for failures := 0; ; failures++ {
		begun := a.clock.Now()
		_, err := outcall.Do(ctx, a.given, "listen", func(ctx context.Context) (struct{}, error) {
			return struct{}{}, a.pubsub.Listen(ctx, (*listener)(a))
		}, nil)
		if ctx.Err() != nil {
			a.noteStuck(err)
			return
		}
		a.setListening(false)
		a.metrics.reconnected()
		if a.clock.Since(begun) > maxPause {
			failures = 0
		}
		pause := growing(failures)
		a.cfg.Logger.Warn("listening ended", "again_in", pause, "error", err)
		if !a.pause(ctx, pause, "listen") {
			return
		}
	}
}

// setListening notes whether we listen; when that ends, the backup is not put off any longer than a poll.
func (a *Acquirer) setListening(connected bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	was := a.listening.well()
	a.listening.set(connected, a.clock.Now())
	if was && !connected {
		a.backupIn(jitter(a.cfg.Poll), "poll")
	}
}

// ping sends a message to ourselves, again and again.
func (a *Acquirer) ping() {
	if a.pubsub == nil {
		return
	}
	a.mu.Lock()
	if silence, news := a.listening.check(a.clock.Now()); news {
		a.teller.tell(func(context.Context) { a.cfg.Logger.Warn("own announcements do not come back", "since", silence) })
		a.backupIn(0, "gap")
	}
	a.mu.Unlock()
	a.outgoing.ping()
	a.agenda.After(jitter(pingPeriod), a.ping, "ping")
}

// listener is the acquirer as a [queue.Listener].
type listener Acquirer

// Gap implements [queue.Listener].
func (l *listener) Gap() {
	a := (*Acquirer)(l)
	a.setListening(true)
	a.backupNow()
}

// Message implements [queue.Listener].
func (l *listener) Message(text string) {
	a := (*Acquirer)(l)
	m, err := parseMessage(text)
	if err != nil {
		// Whatever it was, it may have announced something that matters.
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.earlyBackup() {
			a.teller.tell(func(context.Context) { a.cfg.Logger.Warn("announcement not understood", "error", err) })
		}
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.clock.Now()
	if m.Process != a.member.process {
		a.receive(m, now)
		return
	}
	if m.Ping {
		a.listening.pinged(now)
	}
}

// receive acts on another process's message. The caller holds the lock.
func (a *Acquirer) receive(m message, now time.Time) {
	for _, n := range m.Jobs {
		a.receiveJobs(n, dispatch.Source{Process: m.Process, Seq: m.Seq}, now)
	}
	for _, n := range m.Taken {
		lane, known := a.dispatch.Lane(n.Organization, n.Lane)
		if known && a.dispatch.Taken(lane, dispatch.Source{Process: n.Process, Seq: n.Seq}) {
			a.lookLater(n.Organization) // who took it may not have been who says so
		}
	}
	for _, id := range m.Freed {
		a.freedElsewhere(id, now)
	}
	for _, lease := range m.Cancel {
		a.askCanceled(lease)
	}
}

// receiveJobs marks a lane. If enough others come before us in turn, it is left to them for a while; each further
// place waits one turnPause longer. The caller holds the lock.
func (a *Acquirer) receiveJobs(n laneNote, s dispatch.Source, now time.Time) {
	lane, known := a.dispatch.Lane(n.Organization, n.Lane)
	switch {
	case known && a.looks.of(n.Organization).barren < maxBarren:
	case a.dispatch.Knows(n.Organization):
		a.lookAtHint(n.Organization) // the store says what it is
		return
	case a.reports() && !a.unmatched.knows(laneName{n.Organization, n.Lane}):
		a.earlyBackup()
		return
	default:
		return
	}
	before := a.fleet.turnOf(lane, s, n.Count, a.member.process)
	turn := a.dispatch.PostRemote(lane, n.From, n.Count, s, before > 0)
	if !turn.Theirs() {
		return
	}
	a.agenda.After(time.Duration(before)*jitter(turnPause), func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.dispatch.EndTurn(turn)
	}, "turn")
}
