package forecast

import (
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// resident is a workspace in a trial: its lives, one after another, and what is counted of them.
type resident struct {
	t    *trial
	m    Member
	s    lifecycle.Snapshot
	born time.Time
	l    *life
	tally

	// upAt is since when it runs, jobAt since when its job runs, wait since when somebody waits for it; zero if not.
	upAt, jobAt, wait time.Time
	// visit is the session that somebody came for last.
	visit Session
	// asks says that the next start by hand is one that a pool could serve, news that somebody comes for the first time.
	asks, news bool
}

func newResident(t *trial, m Member) *resident {
	r := &resident{t: t, m: m, s: m.Snapshot, born: t.from}
	if t.candidate.Set != nil {
		t.candidate.Set(&r.s)
	}
	if c := r.s.Workspace.CreatedAt; c.After(r.born) {
		r.born = c
	}
	return r
}

// live goes on until the end. Whoever comes back for a workspace that is gone gets a new one.
func (r *resident) live() {
	a := r.t.a
	a.Work = Recorded(r.m.Sessions)
	r.workspaces = 1
	first := time.Time{}
	if r.s.Build.Number > 0 {
		first = r.born
	}
	for s, at := r.s, r.born; ; {
		r.l = newLife(s, at, a)
		if r.l.up {
			r.upAt = at
		}
		if !r.l.ends.IsZero() {
			r.jobAt = at
		}
		if r.l.present() {
			r.visit = r.l.work
		}
		for m, ok := r.l.next(r.t.until); ok; m, ok = r.l.next(r.t.until) {
			r.count(m)
			if first.IsZero() && m.what == asked {
				first = m.at
			}
		}
		r.close()
		if !r.l.s.Workspace.Deleted || !r.l.now.Before(r.t.until) {
			break
		}
		if at = r.back(); at.IsZero() {
			break
		}
		s = r.reborn(at)
	}
	if !first.IsZero() {
		r.always = r.t.until.Sub(first).Microseconds()
	}
}

// back is when somebody wants to work after the workspace is gone, zero for never before the end.
func (r *resident) back() time.Time {
	next := r.l.a.Work(r.l.now)
	at := next.Begin
	if at.Before(r.l.now) {
		at = r.l.now
	}
	if next.End.IsZero() || !at.Before(r.t.until) {
		return time.Time{}
	}
	return at
}

// reborn is a new workspace with the settings of the one that is gone.
func (r *resident) reborn(at time.Time) lifecycle.Snapshot {
	s := r.s
	old := &s.Workspace
	w := lifecycle.NewWorkspace(old.ID, s.Template, old.OwnerID, old.Name, at)
	w.Autostart, w.Autostop, w.TTL, w.AutomaticUpdates = old.Autostart, old.Autostop, old.TTL, old.AutomaticUpdates
	s.Workspace, s.Build = w, lifecycle.Build{}
	r.returns++
	return s
}

// count accounts for a moment.
func (r *resident) count(m moment) {
	switch m.what {
	case came:
		r.came()
	case asked:
		r.queued()
		if r.wait.IsZero() {
			r.wait = m.at
		}
	case acted:
		r.acted(m)
	case ended:
		r.ended(m.at)
	}
}

func (r *resident) came() {
	l := r.l
	r.served(l.now)
	r.sessions++
	r.visit = l.work
	if l.ready() {
		return
	}
	b := &l.s.Build
	r.wait, r.asks = l.now, true
	switch {
	case b.Number == 0 && r.returns == 0:
		r.first++
		r.news = true
	case b.Transition == lifecycle.TransitionStart && b.Status.Active():
		r.starting++
		r.asks = false
	case !l.s.Workspace.DormantAt.IsZero():
		r.woken++
		r.cold++
	default:
		r.cold++
	}
}

// served ends a wait: the workspace is up, or the session is over.
func (r *resident) served(at time.Time) {
	if r.wait.IsZero() {
		return
	}
	if at.After(r.visit.End) {
		at = r.visit.End
	}
	waited := max(at.Sub(r.wait), 0)
	r.waited += waited.Microseconds()
	if r.asks && r.t.candidate.Pool != nil {
		r.claims = append(r.claims, claim{r.wait, waited, r.news})
	}
	r.wait, r.asks, r.news = time.Time{}, false, false
}

func (r *resident) acted(m moment) {
	switch {
	case m.d.Transition == lifecycle.TransitionStop && r.l.up && r.l.present():
		r.interrupted++
		r.wait = r.l.now
	case m.d.Rule == lifecycle.RuleReminder:
		r.reminders++
	}
	if m.d.Dormant {
		r.dormancies++
	}
	if m.d.Transition != lifecycle.TransitionNone {
		r.queued()
	}
}

// queued accounts for a new build.
func (r *resident) queued() {
	s := r.t.series
	counts := s.stops
	if r.l.s.Build.Transition == lifecycle.TransitionStart {
		counts = s.starts
	}
	s.add(counts, r.l.now, 1)
	r.builds++
	r.jobAt = r.l.now
}

func (r *resident) ended(at time.Time) {
	r.t.series.span(r.t.series.jobs, r.jobAt, at)
	r.jobAt = time.Time{}
	b := &r.l.s.Build
	if b.Status == lifecycle.JobFailed {
		r.failed++
	}
	if b.Transition == lifecycle.TransitionDelete && b.Status == lifecycle.JobSucceeded {
		r.deletions++
	}
	switch {
	case r.l.up && r.upAt.IsZero():
		r.upAt = at
	case !r.l.up && !r.upAt.IsZero():
		r.down(at)
	}
	if r.l.ready() {
		r.served(at)
	}
}

// down accounts for a run that is over.
func (r *resident) down(at time.Time) {
	r.ran += at.Sub(r.upAt).Microseconds()
	r.used += overlap(r.m.Sessions, r.upAt, at).Microseconds()
	r.t.series.span(r.t.series.running, r.upAt, at)
	r.upAt = time.Time{}
}

// close accounts for what still goes on at the end of a life.
func (r *resident) close() {
	end := r.t.until
	if r.l.s.Workspace.Deleted {
		end = r.l.now
	}
	if !r.upAt.IsZero() {
		r.down(end)
	}
	if !r.jobAt.IsZero() {
		r.t.series.span(r.t.series.jobs, r.jobAt, end)
		r.jobAt = time.Time{}
	}
	r.served(end)
	if r.l.err != nil {
		r.stuck++
	}
}

// overlap is how much of a stretch of time has somebody at work.
func overlap(all []Session, from, until time.Time) (total time.Duration) {
	for s := Recorded(all)(from); !s.End.IsZero() && s.Begin.Before(until); s = Recorded(all)(s.End) {
		begin, end := s.Begin, s.End
		if begin.Before(from) {
			begin = from
		}
		if end.After(until) {
			end = until
		}
		total += end.Sub(begin)
	}
	return total
}
