package workerpool

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dormouse-go/dormouse/internal/micros"
	"github.com/dormouse-go/dormouse/internal/outcall"
)

// The keys of pauses.
const (
	pauseAll      = "all"
	pauseOffering = "offering/"
	pauseGroup    = "group/"
	pauseType     = "type/"
	pauseBoot     = "boot/"
	pauseListing  = "listing"
	pauseCommands = "commands"
)

// RefusedError says which rule forbids the creation of a worker.
type RefusedError struct {
	Type   string
	Reason Reason
	// Until is when the rule ends by itself, if that is known.
	Until time.Time
}

// Error implements error.
func (e *RefusedError) Error() string {
	text := fmt.Sprintf("no worker of type %q may be created: %s", e.Type, e.Reason)
	if !e.Until.IsZero() {
		text += " until " + e.Until.UTC().Format(time.RFC3339)
	}
	return text
}

// Create asks the provider for a worker and returns it as it is then: pending, and without an id. The call itself goes on
// in the background; how it ends is told by events. The error is a [*RefusedError] if a limit or a pause forbids it,
// which is checked and reserved under one lock.
func (p *Pool) Create(typeName string) (Worker, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.create(typeName, ReasonRequest)
}

// create is Create for a reason. The caller holds the lock.
func (p *Pool) create(typeName string, reason Reason) (Worker, error) {
	if !p.running {
		return Worker{}, ErrNotRunning
	}
	k := p.kinds[typeName]
	if k == nil || !k.known {
		return Worker{}, &RefusedError{Type: typeName, Reason: ReasonNoType}
	}
	if reason, until := p.mayCreate(k); reason != "" {
		return Worker{}, &RefusedError{Type: typeName, Reason: reason, Until: until}
	}
	var secret Secret
	_, _ = rand.Read(secret[:]) // never fails
	r := p.enter(NewPending(typeName, secret, p.now()))
	p.stats.Creates[reason]++
	w := r.Worker
	p.run(func(ctx context.Context) { p.callCreate(ctx, r) })
	return w, nil
}

// mayCreate is the same rule as the plan's, on the counts of this instant. The caller holds the lock.
func (p *Pool) mayCreate(k *kind) (Reason, time.Time) {
	select {
	case <-p.listed:
	default:
		return ReasonNotListed, time.Time{}
	}
	switch l := p.cfg.Limits; {
	case k.Max > 0 && k.total() >= k.Max:
		return ReasonTypeMax, time.Time{}
	case p.kept >= l.MaxWorkers:
		return ReasonMaxWorkers, time.Time{}
	case l.MaxPrice > 0 && dearer(p.price+k.Price, l.MaxPrice):
		return ReasonMaxPrice, time.Time{}
	case p.tooManyHang():
		return ReasonCommandsHang, time.Time{}
	}
	for _, key := range k.keys {
		if n, ok := p.pauses.allow(key, p.trying(key), p.now()); ok && n == 0 {
			pause := p.pauses.byKey[key]
			return pause.reason, pause.until
		}
	}
	if p.count[Pending] >= p.cfg.Limits.MaxCreating {
		return ReasonMaxCreating, time.Time{}
	}
	return "", time.Time{}
}

// total is the number of a type's workers that are not gone.
func (k *kind) total() int {
	n := 0
	for s := range Gone {
		n += k.count[s]
	}
	return n
}

// trying is how many trials of a pause are under way: creates in flight, and for one of boots the workers that boot. The
// caller holds the lock.
func (p *Pool) trying(key string) int {
	n := 0
	for _, k := range p.kindsOf[key] {
		n += k.count[Pending]
		if key == pauseBoot+k.Name {
			n += k.count[Booting]
		}
	}
	return n
}

// activePauses are the pauses as a plan needs them: what a trial would not end comes first. The caller holds the lock.
func (p *Pool) activePauses() []Pause {
	var list []Pause
	now := p.now()
	if p.tooManyHang() {
		list = append(list, Pause{Key: pauseCommands, Reason: ReasonCommandsHang, Text: p.hangText()})
	}
	for _, key := range p.pauses.keys() {
		kinds := p.kindsOf[key]
		n, ok := p.pauses.allow(key, p.trying(key), now)
		if !ok || key == pauseListing {
			continue
		}
		state := p.pauses.byKey[key]
		pause := Pause{Key: key, Reason: state.reason, Since: state.since, Until: state.until, Allow: n, Text: state.text}
		for _, k := range kinds {
			pause.Types = append(pause.Types, k.Name)
		}
		list = append(list, pause)
	}
	return list
}

// pauseFor begins or prolongs a pause. The caller holds the lock.
func (p *Pool) pauseFor(key string, f failure, text string, begun time.Time) {
	p.pauses.failed(key, f, text, begun, p.now())
	p.emit(Event{Kind: EventPaused, Reason: f.reason, Text: fmt.Sprintf("%s until %s: %s", key, p.pauses.byKey[key].until.Format(time.RFC3339), text)})
	p.changed()
}

// TryNow ends the wait of a pause, named by its [Pause].Key, so that one trial is made at once. It reports whether there
// is such a pause; for commands that hang there are no trials.
func (p *Pool) TryNow(key string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	ok := p.pauses.eased(key, p.now())
	if key == pauseListing {
		wake(p.listedNow)
	}
	p.changed()
	return ok
}

// Pauses returns the pauses of creates, by key.
func (p *Pool) Pauses() []Pause {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.activePauses()
	slices.SortFunc(list, func(x, y Pause) int { return strings.Compare(x.Key, y.Key) })
	return list
}

// AtQuota reports whether no worker of any type may be created now because the pool's limit or a provider's quota is
// reached.
func (p *Pool) AtQuota() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.cfg.Limits.Types {
		switch reason, _ := p.mayCreate(p.kinds[p.cfg.Limits.Types[i].Name]); reason {
		case ReasonQuota, ReasonMaxWorkers, ReasonTypeMax, ReasonMaxPrice:
		default:
			return false
		}
	}
	return len(p.cfg.Limits.Types) > 0
}

// callCreate is the create call of a pending worker.
func (p *Pool) callCreate(ctx context.Context, r *record) {
	if p.opPace.wait(ctx) != nil {
		p.abandon(r)
		return
	}
	p.mu.Lock()
	if p.pausedFor(r.kind) {
		p.step(r, CreateFailed{})
		p.mu.Unlock()
		return
	}
	tags := p.tagNames.ofIdentity(p.cfg.Name, &r.Worker)
	maps.Copy(tags, p.tagNames.ofState(r))
	order := Order{Type: r.kind.InstanceType, Tags: tags, Secret: r.Secret}
	begun := p.now()
	p.mu.Unlock()
	order.Type.Labels, order.Type.Warm = maps.Clone(order.Type.Labels), nil
	var instance Instance
	err := p.bounded(ctx, outcall.Name{Kind: "create", Part: "type " + order.Type.Name}, p.cfg.CreateTimeout, func(ctx context.Context) error {
		in, err := p.set.Create(ctx, order)
		if err == nil && in.ID == "" {
			err = fmt.Errorf("the provider returned an instance without an id")
		}
		instance = in
		return err
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.metrics.called("create", err)
	if err != nil {
		p.createFailed(r, err, begun)
		return
	}
	for _, key := range r.kind.keys {
		if key != pauseBoot+r.Type {
			p.pauses.succeeded(key, begun)
		}
	}
	p.created(r, instance.ID, instance.Address)
}

// pausedFor reports whether a pause has begun since a create of a type was allowed. It waited for its turn meanwhile, and
// would only be refused as well. The caller holds the lock.
func (p *Pool) pausedFor(k *kind) bool {
	now := p.now()
	for _, key := range k.keys {
		if state := p.pauses.byKey[key]; state != nil && now.Before(state.until) {
			return true
		}
	}
	return false
}

// abandon drops a pending worker whose call was never made.
func (p *Pool) abandon(r *record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.step(r, CreateFailed{})
}

// created gives a pending worker its id. A listing may have shown it before: by its secret, then it has its id already;
// or, if its tags were cut, as a stranger, who is the same one then. The caller holds the lock.
func (p *Pool) created(r *record, id InstanceID, address string) {
	if r.State != Pending {
		return
	}
	if other := p.byID[id]; other != nil {
		p.step(r, CreateFailed{})
		other.Secret = r.Secret
		other.CreatedAt = micros.Earlier(other.CreatedAt, r.CreatedAt)
		return
	}
	p.step(r, Created{ID: id, Address: address})
	p.identify(r)
}

// createFailed handles the provider's refusal. The caller holds the lock.
func (p *Pool) createFailed(r *record, err error, begun time.Time) {
	if p.ctx.Err() != nil {
		return // our own end is no fault of the provider
	}
	f := classify(err)
	switch {
	case r.State != Pending: // a listing has shown it
	case f.reason == ReasonCreateFailed:
		r.doubtful, r.knownAt = true, p.mark(p.now())
		p.syncSoon()
	default:
		p.step(r, CreateFailed{})
	}
	p.stats.CreateErrors[f.reason]++
	p.emit(Event{Kind: EventCreateFailed, Type: r.Type, Reason: f.reason, Text: err.Error()})
	key := pauseType + r.Type
	switch {
	case f.scope == ScopeAll:
		key = pauseAll
	case f.scope == ScopeGroup:
		key = pauseGroup + r.kind.QuotaGroup
	case f.reason == ReasonCapacity:
		key = pauseOffering + r.kind.Offering()
	}
	p.pauseFor(key, f, err.Error(), begun)
}
