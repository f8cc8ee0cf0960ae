package workerpool

import (
	"context"
	"time"
)

// addKind enters a type. The caller holds the lock, or is New.
func (p *Pool) addKind(t InstanceType, known bool) *kind {
	k := &kind{InstanceType: t, known: known, rules: &Rules{
		BootTimeout: p.cfg.BootTimeout, ProbeTimeout: p.cfg.ProbeTimeout, ProbeInterval: p.cfg.ProbeInterval,
		BootInterval: p.cfg.BootInterval, ShutdownTimeout: p.cfg.ShutdownTimeout,
		KillInterval: p.cfg.KillInterval, TermTimeout: p.cfg.TermTimeout,
		MaxAge: t.MaxAge, MaxUses: t.MaxUses, Braked: p.brake.failing,
	}}
	k.booting.of, k.idle.of = linkByState, linkByState
	p.kinds[t.Name] = k
	p.rulesOf = append(p.rulesOf, k.rules)
	if known {
		k.keys = []string{pauseAll, pauseOffering + t.Offering(), pauseGroup + t.QuotaGroup, pauseType + t.Name, pauseBoot + t.Name}
		for _, key := range k.keys {
			p.kindsOf[key] = append(p.kindsOf[key], k)
		}
	}
	return k
}

// kindOf finds a type by name; one that is not configured has no room and no price.
func (p *Pool) kindOf(name string) *kind {
	if k, ok := p.kinds[name]; ok {
		return k
	}
	return p.addKind(InstanceType{Name: name}, false)
}

// enter adds a worker. The caller holds the lock.
func (p *Pool) enter(w Worker) *record {
	r := &record{Worker: w, kind: p.kindOf(w.Type), due: -1, all: int32(len(p.all)), since: p.mark(p.now()), placed: Gone}
	p.all = append(p.all, r)
	if w.ID == "" {
		p.bySecret[w.Secret] = r
	} else {
		p.identify(r)
	}
	p.kept++
	p.price += r.kind.Price
	p.count[r.State]++
	r.kind.count[r.State]++
	p.emit(Event{Kind: EventState, Worker: r.ID, Type: r.Type, From: Gone, To: r.State})
	p.reindex(r)
	p.deadlines.set(r, r.Worker.due(r.kind.rules))
	wake(p.due)
	p.changed()
	return r
}

// identify enters a worker by its id. The caller holds the lock.
func (p *Pool) identify(r *record) {
	delete(p.bySecret, r.Secret)
	p.byID[r.ID] = r
	r.knownAt = p.mark(p.now())
}

// step lets something happen to a worker, brings the indexes up to date and begins what has to be done. The caller holds
// the lock.
func (p *Pool) step(r *record, t Trigger) Effects {
	now := p.now()
	if r.active() > 0 {
		shareCost(&r.Worker, r.kind.Price, p.timeOf(r.since), now)
	}
	r.since = p.mark(now)
	before, jobs, behavior, uses := r.State, r.Jobs, r.Behavior, r.Uses
	effects := t.apply(&r.Worker, r.kind.rules, now)
	p.reindex(r)
	if r.State != before {
		p.stateChanged(r, before)
	}
	if r.State != Gone {
		p.jobsChanged(r, jobs)
	}
	if r.Behavior != behavior {
		p.emit(Event{Kind: EventBehavior, Worker: r.ID, Type: r.Type, Reason: Reason(r.Behavior.Idle.String()), Text: r.Behavior.Owner + ": " + r.Behavior.Reason})
		p.changed()
	}
	if r.State == Gone {
		return effects
	}
	if r.Uses != uses && r.kind.MaxUses > 0 && effects&DoSaveTags == 0 {
		p.saveTags(r)
	}
	p.arm(r)
	p.do(r, effects)
	return effects
}

// arm sees to it that the worker is looked at when its time comes. The caller holds the lock.
func (p *Pool) arm(r *record) {
	at := r.Worker.due(r.kind.rules)
	if first, ok := p.deadlines.first(); !at.IsZero() && (!ok || at.Before(first)) {
		wake(p.due)
	}
	p.deadlines.set(r, at)
}

// reindex moves a worker to the lists in which it belongs now. The caller holds the lock.
func (p *Pool) reindex(r *record) {
	p.meterUse(r)
	p.noteFailing(r)
	k := r.kind
	if r.State != r.placed {
		r.placed = r.State
		r.byState.drop(r)
		switch r.State {
		case Booting:
			k.booting.push(r)
		case Idle:
			k.idle.push(r)
		}
		p.changed()
	}
	before, was := r.room()
	var after Resources
	is := r.Takes() && (r.State == Idle || r.State == Running)
	if is {
		after = r.Free(k.Room)
	}
	if is == was && after == before {
		return
	}
	if was {
		k.slots -= k.Room.Slots
		k.used -= k.Room.Slots - before.Slots
	}
	r.byRoom.drop(r)
	if is {
		k.slots += k.Room.Slots
		k.used += k.Room.Slots - after.Slots
		k.ready.add(r, after)
		k.ready.forget()
	}
	p.changed()
}

// meterUse accounts for what the worker's price is spent on. The caller holds the lock.
func (p *Pool) meterUse(r *record) {
	u := useOf(&r.Worker)
	p.meter.move(r.use, u, r.kind.Price, p.now())
	r.use = u
}

// noteFailing keeps the count of workers that fail, and the brake. Those that have never answered are not counted: the
// brake protects what may hold work.
func (p *Pool) noteFailing(r *record) {
	fails := !r.FailingSince.IsZero() && (r.State == Unknown || r.State == Idle || r.State == Running)
	if _, was := p.failing[r]; was == fails {
		return
	}
	if fails {
		p.failing[r] = struct{}{}
	} else {
		delete(p.failing, r)
	}
}

// setBrake brings the brake in line with the number of failing workers. The caller holds the lock.
func (p *Pool) setBrake() {
	on := tooManyFail(len(p.failing), p.count[Unknown]+p.count[Idle]+p.count[Running]) && !p.now().Before(p.brake.releasedUntil)
	if on == p.brake.failing {
		return
	}
	p.brake.failing = on
	for _, rules := range p.rulesOf {
		rules.Braked = on
	}
	if on {
		p.emit(Event{Kind: EventBrake, Text: "so many workers fail their probes that none is shut down for it"})
		return
	}
	p.emit(Event{Kind: EventBrakeReleased, Text: "workers that fail their probes are shut down again"})
	for r := range p.failing {
		p.arm(r)
	}
}

// stateChanged does what follows from a new state. The caller holds the lock.
func (p *Pool) stateChanged(r *record, before State) {
	now := p.now()
	p.count[before]--
	p.count[r.State]++
	r.kind.count[before]--
	r.kind.count[r.State]++
	p.emit(Event{Kind: EventState, Worker: r.ID, Type: r.Type, From: before, To: r.State, Reason: r.Reason})
	switch {
	case r.State == Shutdown:
		p.stats.Shutdowns[r.Reason]++
		if before == Booting && r.Reason == ReasonBootTimeout {
			p.stats.BootFailures++
			p.pauseFor(pauseBoot+r.Type, failure{reason: ReasonBootFailed}, "a worker did not become ready in time", r.CreatedAt)
		}
	case before == Booting && (r.State == Idle || r.State == Running):
		p.stats.Boots++
		p.metrics.booted(now.Sub(r.CreatedAt))
		p.pauses.succeeded(pauseBoot+r.Type, r.CreatedAt)
	case r.State == Gone:
		p.leave(r, before)
	}
	p.changed()
}

// leave drops a worker that is gone. The caller holds the lock.
func (p *Pool) leave(r *record, before State) {
	p.kept--
	p.price -= r.kind.Price
	r.byState.drop(r)
	r.byRoom.drop(r)
	p.deadlines.remove(r)
	delete(p.failing, r)
	delete(p.bySecret, r.Secret)
	if p.byID[r.ID] == r {
		delete(p.byID, r.ID)
	}
	last := len(p.all) - 1
	p.all[r.all] = p.all[last]
	p.all[r.all].all = r.all
	p.all[last] = nil
	p.all = p.all[:last]
	for i := range r.Jobs {
		p.lostWith(r, &r.Jobs[i])
	}
	if before == Shutdown {
		p.metrics.left(p.now().Sub(r.ShutdownAt))
	} else if before != Pending {
		p.stats.Disappeared++
	}
	if f, ok := p.executor.(Forgetter); ok && r.ID != "" {
		id := r.ID
		p.run(func(ctx context.Context) {
			forget := func(context.Context) error { f.Forget(id); return nil }
			if err := p.bounded(ctx, callOf("forget worker", string(id)), p.cfg.CommandTimeout, forget); err != nil {
				p.cfg.Logger.Warn("worker not forgotten", "worker_id", id, "error", err)
			}
		})
	}
	if before != Pending && r.kind.known && p.pauses.eased(pauseGroup+r.kind.QuotaGroup, p.now()) {
		p.changed()
	}
}

// do begins what a step asks for. The caller holds the lock.
func (p *Pool) do(r *record, effects Effects) {
	if effects&DoDestroy != 0 {
		p.destroy(r)
	}
	if effects&DoSaveTags != 0 {
		p.saveTags(r)
	}
	if effects&DoProbe != 0 {
		p.queueProbe(r)
	}
	if effects&(DoKill|DoRecord|DoForget) != 0 && r.State != Gone {
		p.tendJobs(r, effects)
	}
}

// deadlineLoop looks at each worker when its time comes.
func (p *Pool) deadlineLoop(ctx context.Context) {
	timer := p.clock.NewTimer(time.Hour, "workerpool", "deadline")
	defer timer.Stop()
	for {
		timer.Reset(p.passDeadlines(), "workerpool", "deadline")
		select {
		case <-ctx.Done():
			return
		case <-p.due:
		case <-timer.C:
		}
	}
}

// deadlineSlice bounds how many workers are looked at without a pause for others who want the lock.
const deadlineSlice = 256

// passDeadlines looks at the workers that are due and returns when the next one is.
func (p *Pool) passDeadlines() time.Duration {
	for {
		p.mu.Lock()
		p.setBrake()
		now := p.now()
		n := 0
		for ; n < deadlineSlice; n++ {
			r := p.deadlines.pop(now)
			if r == nil {
				break
			}
			p.step(r, DeadlinePassed{})
		}
		next, ok := p.deadlines.first()
		p.mu.Unlock()
		switch {
		case n == deadlineSlice:
		case !ok:
			return time.Hour
		default:
			return max(p.clock.Until(next, "workerpool", "deadline"), time.Microsecond)
		}
	}
}
