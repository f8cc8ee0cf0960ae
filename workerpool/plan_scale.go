package workerpool

import (
	"slices"
	"time"
)

// warm creates what the floors and the spare slots lack. It comes after the jobs, so that it never takes the last place
// from one.
func (p *planner) warm() {
	for _, n := range p.order {
		t := &p.types[n]
		floor, spare := t.Wanted(p.now)
		for t.usable < floor && p.createWarm(t, ReasonFloor) {
		}
		for t.free < int64(spare) && p.createWarm(t, ReasonSpare) {
		}
		if slices.ContainsFunc(t.Warm, func(w Warm) bool { return w.During != Hours{} }) {
			p.differs(p.now.Truncate(time.Minute).Add(time.Minute))
		}
	}
}

func (p *planner) createWarm(t *typePlan, reason Reason) bool {
	if obstacle, _ := p.mayCreate(t); obstacle != "" {
		return false
	}
	p.create(t, reason)
	return true
}

// makeRoom shuts down workers that nothing needs where they keep jobs from getting one of another type. Each job is worth
// one worker, and those that are leaving already count.
func (p *planner) makeRoom() {
	victims := p.victims()
	leaving := p.leaving
	groups := make(map[string]int)
	for _, b := range p.blocked {
		t := &p.types[b.tried]
		var helps func(*typePlan) bool
		switch b.reason {
		case ReasonMaxWorkers, ReasonMaxPrice:
			if leaving > 0 {
				leaving--
				continue
			}
			helps = func(*typePlan) bool { return true }
		case ReasonQuota:
			if p.leavingOf(t.QuotaGroup) > groups[t.QuotaGroup] {
				groups[t.QuotaGroup]++
				continue
			}
			helps = func(o *typePlan) bool { return o.QuotaGroup == t.QuotaGroup }
		default:
			continue
		}
		i := slices.IndexFunc(victims, func(w int) bool { return !p.decided[w] && helps(&p.types[p.typeOf[w]]) })
		if i >= 0 {
			w := victims[i]
			p.remove(w)
			p.stop(w, ReasonMakeRoom)
		}
	}
}

func (p *planner) leavingOf(group string) int {
	n := 0
	for i := range p.types {
		if p.types[i].QuotaGroup == group {
			n += p.types[i].leaving
		}
	}
	return n
}

// victims are the workers that could be shut down, in the order of the strategy.
func (p *planner) victims() []int {
	var all []int
	for i := range p.types {
		for _, w := range p.types[i].empty {
			if s := p.workers[w].State; s == Booting || s == Idle {
				all = append(all, w)
			}
		}
	}
	p.sortVictims(all)
	return all
}

func (p *planner) sortVictims(list []int) {
	slices.SortStableFunc(list, func(i, j int) int { return p.limits.Victim(&p.workers[i], &p.workers[j]) })
}

// remove takes a worker without jobs out of its type's counts.
func (p *planner) remove(w int) {
	t := &p.types[p.typeOf[w]]
	t.usable--
	t.free -= t.Room.Slots
}

// scaleIn shuts down what nothing has needed for long enough.
func (p *planner) scaleIn() {
	for i := range p.types {
		t := &p.types[i]
		list := slices.DeleteFunc(t.empty, func(w int) bool { return p.decided[w] })
		p.sortVictims(list)
		floor, spare := t.Wanted(p.now)
		for _, w := range list {
			if reason := p.keepEmpty(t, w, floor, spare); reason != "" {
				p.decided[w] = true
				p.keep(w, reason)
				continue
			}
			reason := ReasonIdle
			if p.workers[w].State == Booting {
				reason = ReasonUnneeded
			}
			p.remove(w)
			p.stop(w, reason)
		}
	}
}

// keepEmpty returns the rule that keeps a worker without a job, if one does.
func (p *planner) keepEmpty(t *typePlan, i, floor, spare int) Reason {
	w := &p.workers[i]
	switch {
	case w.State == Pending:
		return ReasonBooting
	case w.State == Unknown:
		return ReasonUnknown
	case t.usable <= floor:
		return ReasonFloor
	case t.free-t.Room.Slots < int64(spare):
		return ReasonSpare
	}
	if at := w.IdleSince.Add(p.limits.IdleTimeout); p.now.Before(at) {
		p.differs(at)
		if w.State == Booting {
			return ReasonBooting
		}
		return ReasonMinimumIdle
	}
	if at := t.newest.Add(p.limits.ScaleInDelay); p.now.Before(at) {
		p.differs(at)
		return ReasonScaleInDelay
	}
	return ""
}

// keepRest gives every worker without a verdict one.
func (p *planner) keepRest() {
	started := make(map[int]bool, len(p.actions.Starts))
	for _, s := range p.actions.Starts {
		if !started[s.Worker] {
			started[s.Worker] = true
			p.keep(s.Worker, ReasonBusy)
		}
	}
	for i := range p.workers {
		if p.decided[i] {
			continue
		}
		w := &p.workers[i]
		switch {
		case w.State == Shutdown:
			p.keep(i, w.Reason)
		case w.Behavior.Idle == BehaviorHold:
			p.keep(i, ReasonHeld)
		case w.Busy():
			p.keep(i, ReasonBusy)
		case w.State == Pending:
			p.keep(i, ReasonBooting)
		case w.State == Unknown:
			p.keep(i, ReasonUnknown)
		case p.typeOf[i] < 0:
			p.stop(i, ReasonTypeRemoved)
		default: // drained by its state machine
			p.keep(i, ReasonDrained)
		}
	}
}
