package acquirer

import (
	"context"
	"errors"
	"time"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/leases"
)

// errByItself says that an end was not tried together with others.
var errByItself = errors.New("acquirer: end: the job's last call took too long, so that its end goes by itself")

// EndJobs is [Acquirer.End] for several attempts at once, which share calls of the store with each other and with those of others, each call within
// [Config.Timeout]. It tries once, and returns an error for each, in their order, nil where the end is stored; of no ends there are none.
// [queue.ErrLeaseLost] and a [*invalid.Error] are final, as there. After any other error, ctx's included, the end may be stored or not, and is to be
// repeated with [Acquirer.End].
func (a *Acquirer) EndJobs(ctx context.Context, ends []End) []error {
	errs, now := make([]error, len(ends)), a.clock.Now()
	begun, in := a.beginEnds(ends, errs, now)
	for i := range in { // texts are long: not under the lock
		in[i] = in[i].Normalize(now)
	}
	a.ends.DoAll(ctx, in, func(i int, out *queue.Ended, err error) {
		if err == nil {
			err = out.Err
		}
		begun[i].answer, errs[begun[i].at] = out, err
	})
	a.endBegun(begun, errs)
	for i := range begun {
		if e := &begun[i]; errs[e.at] == nil {
			a.follow(e.answer.Job, e.started)
		}
	}
	return errs
}

// begunEnd is an end of several that is under way.
type begunEnd struct {
	at      int // among them
	call    leases.Call
	answer  *queue.Ended
	started time.Time
}

// beginEnds enters ends in the book, but for those of which it says an error, and returns what the store is to be asked.
func (a *Acquirer) beginEnds(ends []End, errs []error, now time.Time) (begun []begunEnd, in []End) {
	for i, e := range ends {
		if errs[i] = ofWorker(e); errs[i] == nil && a.slow.has(a.clock, e.Lease.Job) {
			errs[i] = errByItself
		}
	}
	begun, in = make([]begunEnd, 0, len(ends)), make([]End, 0, len(ends))
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, e := range ends {
		if errs[i] != nil {
			continue
		}
		call, err := a.enterEnd(e.Handout, now)
		if errs[i] = err; err == nil {
			begun, in = append(begun, begunEnd{at: i, call: call}), append(in, e)
		}
	}
	return begun, in
}

// endBegun notes in the book what has become of ends.
func (a *Acquirer) endBegun(begun []begunEnd, errs []error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	unknown := false
	for i := range begun {
		switch e := &begun[i]; {
		case errs[e.at] == nil:
			e.started = a.leaveBook(e.call)
		case queue.IsAnswer(errs[e.at]):
			a.left(queue.ErrLeaseLost, a.book.Over(e.call))
		default:
			a.book.Unknown(e.call, a.clock.Now())
			unknown = true
		}
	}
	if unknown {
		a.watchBook()
	}
}
