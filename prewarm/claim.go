package prewarm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/micros"
	"github.com/dormouse-go/dormouse/invalid"
)

// Request asks for a member.
type Request struct {
	// Owner gets the member. Required.
	Owner string
	// Tenant is the group that fairness and reserves count; "" is a group like any other.
	Tenant string
	// Key makes the request repeatable: the same key gets the same member. Defaults to a new one, which the member's claim shows.
	Key string
	// IfEmpty says what to do if no member is ready. Defaults to Fail.
	IfEmpty IfEmpty
	// MaxWait bounds the waiting with Wait, and the building with Cold. Defaults to Config.MaxWait for Wait, and to as
	// long as Spec.ReadyTimeout allows for Cold.
	MaxWait time.Duration
	// MinLife is how much life the member must have left, as long as it is not claimed. Defaults to a minute, or half of
	// Spec.IdleLife if that is less; negative: any.
	MinLife time.Duration
	// IdleTimeout ends the claim after a time without activity. Defaults to Config.IdleTimeout; negative: never.
	IdleTimeout time.Duration
	// Until ends the claim whatever its activity. The zero value is never.
	Until time.Time
	// Details are stored with the claim, for the backend; see [Claim].
	Details string
}

// IfEmpty says what a claim does that finds no ready member.
type IfEmpty uint8

// What to do.
const (
	// Fail: return an [*EmptyError], which says why and when a member is to be expected.
	Fail IfEmpty = iota
	// Cold: have a member built for this claim alone.
	Cold
	// Wait: wait for a member of the pool, in the line.
	Wait
)

var ifEmptyNames = [...]string{"fail", "cold", "wait"}

// String returns the name in lower case.
func (e IfEmpty) String() string {
	if int(e) < len(ifEmptyNames) {
		return ifEmptyNames[e]
	}
	return fmt.Sprintf("ifempty(%d)", uint8(e))
}

// MarshalText implements encoding.TextMarshaler.
func (e IfEmpty) MarshalText() ([]byte, error) {
	if int(e) >= len(ifEmptyNames) {
		return nil, invalid.New("IfEmpty", uint8(e), "must be fail, cold or wait")
	}
	return []byte(ifEmptyNames[e]), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (e *IfEmpty) UnmarshalText(text []byte) error {
	i := slices.Index(ifEmptyNames[:], string(text))
	if i < 0 {
		return invalid.New("IfEmpty", string(text), "must be fail, cold or wait")
	}
	*e = IfEmpty(i)
	return nil
}

// Handout is a member that was handed out.
type Handout struct {
	Member Member
	// Source says where it comes from.
	Source Source
	// Waited is the time from the request to the answer.
	Waited time.Duration
	// Missed says why no member was ready when the request came; its Reason is "" if one was.
	Missed Diagnosis
}

// Source says where a claimed member comes from. It is a closed set: it labels metrics.
type Source string

// The sources.
const (
	// Warm: it was ready.
	Warm Source = "warm"
	// Waited: it became ready while the claim waited.
	Waited Source = "waited"
	// Built: it was built for the claim.
	Built Source = "cold"
	// Repeated: the key had it before.
	Repeated Source = "repeated"
)

// EmptyError says that no member was ready for a claim.
type EmptyError struct {
	Pool string
	// Why says why, and when a member is to be expected.
	Why Diagnosis
	// Waited is how long the claim waited for one.
	Waited time.Duration
}

// Error implements error.
func (e *EmptyError) Error() string {
	return fmt.Sprintf("pool %q has no ready member: %s", e.Pool, e.Why)
}

// Claim hands out a member. The claim is stored, with its deadlines, before it returns; if it returns an error that
// leaves open whether it was (the store's, ctx's), a repetition with the same key finds out. If ctx ends first, nothing
// is taken along: a member that was claimed meanwhile is ready again, or is never handed out. A claim that comes before
// [Pool.Run] waits for it.
//
// Errors: an [*EmptyError], [ErrKeyReused], [ErrEnded] for a key whose claim is over, [ErrNotRunning], a refusal of the
// request ([invalid.Err]), ctx's, or what the store or the backend said.
func (p *Pool) Claim(ctx context.Context, r Request) (Handout, error) {
	for {
		claimed, err := p.claimOnce(ctx, r)
		if !errors.Is(err, errGivenBack) {
			return claimed, err
		}
	}
}

func (p *Pool) claimOnce(ctx context.Context, r Request) (Handout, error) {
	w, err := p.join(ctx, r)
	if err != nil {
		return Handout{}, err
	}
	var late <-chan time.Time
	if limit := w.request.MaxWait; limit > 0 {
		timer := p.clock.NewTimer(limit, "pool", "wait")
		defer timer.Stop()
		late = timer.C
	}
	select {
	case a := <-w.answers:
		return p.handOut(ctx, w, a)
	case <-late:
		return p.leave(ctx, w, nil)
	case <-ctx.Done():
		return p.leave(ctx, w, context.Cause(ctx))
	}
}

// join checks a request and puts it in the line.
func (p *Pool) join(ctx context.Context, r Request) (*waiter, error) {
	now := p.now()
	if err := r.validate(now); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state == ended {
		return nil, ErrNotRunning
	}
	r = p.fill(r)
	w := &waiter{
		request: r, tenant: tenantName(p.cfg.Spec.Name, r.Tenant), since: now, answers: make(chan answer, 1),
		claim: Claim{Key: r.Key, Owner: r.Owner, Tenant: r.Tenant, IdleTimeout: max(r.IdleTimeout, 0), Until: micros.Of(r.Until), Details: r.Details},
	}
	p.line.add(w)
	p.serve.set()
	return w, nil
}

// maxDetails keeps rows of members short.
const maxDetails = 4096

// validate refuses what a store may not take: claims share its calls, and a call that fails is everybody's.
func (r *Request) validate(now time.Time) error {
	err := cmp.Or(named("Request.Owner", r.Owner), storable("Request.Tenant", r.Tenant), storable("Request.Key", r.Key))
	switch {
	case err != nil:
		return err
	case len(r.Details) > maxDetails || !utf8.ValidString(r.Details) || strings.ContainsRune(r.Details, 0):
		return invalid.New("Request.Details", len(r.Details), "must be at most %d bytes of UTF-8 without zero bytes", maxDetails)
	case r.IfEmpty > Wait:
		return invalid.New("Request.IfEmpty", r.IfEmpty, "must be Fail, Cold or Wait")
	case r.MaxWait < 0:
		return invalid.New("Request.MaxWait", r.MaxWait, "must not be negative")
	case !r.Until.IsZero() && !r.Until.After(now):
		return invalid.New("Request.Until", r.Until, "must be in the future")
	}
	return nil
}

// fill sets the defaults; the lock is held.
func (p *Pool) fill(r Request) Request {
	if r.Key == "" {
		r.Key = uuid.NewString()
	}
	if r.MaxWait == 0 && r.IfEmpty == Wait {
		r.MaxWait = p.cfg.MaxWait
	}
	if r.MinLife == 0 {
		r.MinLife = p.spec.minLife()
	}
	if r.IdleTimeout == 0 {
		r.IdleTimeout = p.cfg.IdleTimeout
	}
	return r
}

// leave takes a claim out of the line whose time is over, or whose claimer is. An answer that came just then is used if
// somebody is there, else what it gave is given back.
func (p *Pool) leave(ctx context.Context, w *waiter, cause error) (Handout, error) {
	p.mu.Lock()
	answered, missed, building, failure := w.done, w.missed, w.cold != uuid.Nil, w.failure
	w.gone = true
	p.line.remove(w, false)
	p.mu.Unlock()
	p.lined.set()
	switch {
	case answered && cause == nil:
		return p.handOut(ctx, w, <-w.answers)
	case answered:
		if a := <-w.answers; a.fresh {
			p.abandon(a.claimed.Member)
		}
	case building:
		p.abandonKey(w.claim)
	}
	if cause != nil {
		return Handout{}, cause
	}
	if failure != nil {
		return Handout{}, failure
	}
	if missed.Reason == "" {
		missed.Reason = MissUnknown // nobody has looked in this time
	}
	return Handout{}, &EmptyError{Pool: p.cfg.Spec.Name, Why: missed, Waited: p.clock.Since(w.since)}
}

// handOut marks a claimed member and returns it.
func (p *Pool) handOut(ctx context.Context, w *waiter, a answer) (Handout, error) {
	if a.err != nil {
		return Handout{}, a.err
	}
	m := a.claimed.Member
	if !a.fresh {
		var err error
		if m, err = p.touch(ctx, m); err != nil {
			return Handout{}, err
		}
	}
	_, err := ask(ctx, p, about(m, "mark the claimed member"), p.cfg.Timeout, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, p.backend.Mark(ctx, m)
	}, nil)
	if err != nil {
		return Handout{}, fmt.Errorf("%w (key %q has member %s)", err, w.claim.Key, m.ID)
	}
	p.mu.Lock()
	missed := w.missed
	p.mu.Unlock()
	claimed := Handout{Member: m, Source: a.claimed.Source, Waited: p.clock.Since(w.since), Missed: missed}
	p.metrics.claimed(claimed)
	return claimed, nil
}

// errGivenBack says that a member was given back by whoever claimed it with this key, before it could be handed out to a
// repetition of the key.
var errGivenBack = errors.New("the member was given back")

// touch writes a member that its key had before. It counts as activity, and raises the revision: so a claimer who has
// left, with this key and on another replica, cannot give back what is handed out here.
func (p *Pool) touch(ctx context.Context, m Member) (Member, error) {
	touched, err := p.update(ctx, m.ID, func(now Member, spec Spec, at time.Time) (Change, error) {
		if now.Claim.Key != m.Claim.Key {
			return Change{}, errGivenBack
		}
		if err := alive(&now, &spec, at); err != nil {
			return Change{}, err
		}
		now.Deadline = now.Claim.Deadline(at)
		return Change{Member: now}, nil
	})
	if errors.Is(err, ErrNotFound) {
		err = errGivenBack
	}
	return touched, err
}

// abandon gives back a member that was claimed for somebody who has left, if nobody has touched it since: it was not
// handed out, so it is as it was.
func (p *Pool) abandon(m Member) {
	p.returns.add(func(ctx context.Context) {
		p.mu.Lock()
		spec := p.spec.withDefaults()
		p.mu.Unlock()
		m.Claim = Claim{}
		p.giveBack(ctx, m.to(Ready, ReasonAbandoned, spec.expiry(&m)))
	})
}

// abandonKey gives the pool what is being built for somebody who has left. What is ready by now stays the key's, until
// the claim ends: it may have been handed out to a repetition of the key.
func (p *Pool) abandonKey(c Claim) {
	p.returns.add(func(ctx context.Context) {
		grants, err := p.claims(ctx, Pick{Pool: p.cfg.Spec.Name, Version: noVersion}, []Claim{c})
		if err != nil {
			p.cfg.Logger.Warn("member built for a claimer who left not found; its claim ends by itself", "key", c.Key, "error", err)
			return
		}
		if m := grants[0].Member; m.cold() {
			m.Claim, m.Reason = Claim{}, ReasonAbandoned
			p.giveBack(ctx, m)
		}
	})
}

// noVersion is no version that members have: control characters are refused.
const noVersion = "\x01"

func (p *Pool) giveBack(ctx context.Context, m Member) {
	if _, err := p.put(ctx, nil, []Change{{Member: m}}); err != nil {
		p.cfg.Logger.Warn("member of a claimer who left not given back; its claim ends by itself", "member", m.ID, "error", err)
	}
	p.lookForMembers()
	p.ready.set()
	p.plan.set()
}
