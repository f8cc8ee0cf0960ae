package acquirer

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// beatsAtOnce is how many calls a heartbeat makes at most, one beside the other. The first one may be on a dead connection, which says
// nothing until its time limit is over, and that may be all that is left of the lease.
const beatsAtOnce = 3

// beat is one call of a heartbeat, and what came of it.
type beat struct {
	process uuid.UUID
	begun   time.Time
	fleet   queue.Fleet
	err     error
}

// heartbeat reports whether the store knows us.
func (a *Acquirer) heartbeat(ctx context.Context) bool {
	b := a.firstBeat(ctx)
	a.mu.Lock()
	defer a.mu.Unlock()
	if b.err != nil {
		a.heartbeatFailed(b.process, b.err)
		return false
	}
	if b.process != a.member.process { // given up meanwhile: the store has yet to hear of the name that follows
		return false
	}
	a.heartbeatAnswered(b.fleet, b.begun)
	return true
}

// firstBeat is the first call that is answered, or the last one if all fail. While none is, another one begins every third of a
// period. They go to the store, as does one at once when the pubsub's own way fails: that may be one connection. What is still under
// way at the end is canceled, and its answer is nobody's.
func (a *Acquirer) firstBeat(ctx context.Context) beat {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan beat, beatsAtOnce)
	running := 0
	call := func(on queue.Heartbeater, operation string) {
		running++
		a.beating.Go(func() { answers <- a.beat(ctx, on, operation) })
	}
	again := a.clock.NewTicker(max(a.cfg.Heartbeat/beatsAtOnce, time.Millisecond), "heartbeat", "beside")
	defer again.Stop()
	own, untried := a.pubsub.(queue.Heartbeater)
	if untried { // the store is another way
		call(own, "pubsub heartbeat") // a name of its own: those that never return must not use up the store's
	} else {
		call(a.store, "heartbeat")
	}
	for {
		select {
		case b := <-answers:
			running--
			last := running == 0 && !untried
			if b.err == nil || queue.IsAnswer(b.err) || last || ctx.Err() != nil {
				return b
			}
			if running > 0 {
				continue
			}
		case <-again.C:
			if running == beatsAtOnce {
				continue
			}
		}
		untried = false
		call(a.store, "heartbeat")
	}
}

// beat makes one call of a heartbeat.
func (a *Acquirer) beat(ctx context.Context, on queue.Heartbeater, operation string) beat {
	a.mu.Lock()
	h := queue.Heartbeat{Process: a.member.process, Name: a.cfg.Instance, Now: a.now(), Workers: a.workers()}
	b := beat{process: h.Process, begun: a.clock.Now()}
	a.mu.Unlock()
	b.fleet, b.err = askOr(ctx, a, operation, func(ctx context.Context) (queue.Fleet, error) { return on.Heartbeat(ctx, h) },
		func(fleet queue.Fleet, err error) { a.beatLate(h.Process, fleet, err) })
	return b
}
