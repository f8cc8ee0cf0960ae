package storetest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store"
)

func (k *spacePlay) shard() (s lifecycle.Shard) {
	if k.one(2) {
		s.Count = k.r.IntN(4)
		s.Index = k.r.IntN(max(1, s.Count))
	}
	return s
}

func (k *spacePlay) due() {
	q := lifecycle.DueQuery{Now: k.around(k.now, time.Hour), Limit: 1 + k.r.IntN(6), Shard: k.shard()}
	for {
		page := k.snapshots(fmt.Sprintf("Due %+v", q), func(s store.Store) ([]lifecycle.Snapshot, error) { return s.Due(k.ctx, q) })
		if len(page) == 0 || k.one(3) {
			return
		}
		q.After = lifecycle.CursorOf(page[len(page)-1])
	}
}

func (k *spacePlay) gauges() {
	shard, at := k.shard(), k.around(k.now, 2*time.Hour)
	_, _ = ask(k.pair, fmt.Sprintf("NextWake %+v", shard), func(s store.Store) (time.Time, error) { return s.NextWake(k.ctx, shard) })
	_, _ = ask(k.pair, fmt.Sprint("Backlog ", at), func(s store.Store) (lifecycle.Backlog, error) { return s.Backlog(k.ctx, at) })
}

// restriction is one that some workspaces meet, all, or none.
func (k *spacePlay) restriction() (organizations []uuid.UUID, template, owner uuid.UUID) {
	if k.one(2) {
		organizations = someOf(k.pair, append(k.ids(1), k.orgs...), k.r.IntN(3))
	}
	if k.one(4) {
		template = anyOf(k.pair, k.templates)
	}
	if k.one(4) {
		owner = anyOf(k.pair, k.owners)
	}
	return organizations, template, owner
}

func (k *spacePlay) list() {
	var c lifecycle.CountQuery
	c.Organizations, c.TemplateID, c.OwnerID = k.restriction()
	_, _ = ask(k.pair, fmt.Sprintf("CountStatuses %+v", c), func(s store.Store) (map[lifecycle.Status]int, error) { return s.CountStatuses(k.ctx, c) })
	q := lifecycle.ListQuery{Order: lifecycle.ListOrder(k.r.IntN(3)), Limit: 1 + k.r.IntN(6), Building: k.one(4)}
	q.Organizations, q.TemplateID, q.OwnerID = k.restriction()
	for k.one(3) {
		q.Statuses = append(q.Statuses, lifecycle.Status(k.r.IntN(int(lifecycle.StatusManaged)+1)))
	}
	switch q.Order {
	case lifecycle.ListByName:
		q.NamePrefix = anyOf(k.pair, []string{"", "a", "B"})
	case lifecycle.ListByWake:
		if k.one(2) {
			q.DueBy = k.around(k.now, time.Hour)
		}
	}
	for {
		page := k.snapshots(fmt.Sprintf("List %+v", q), func(s store.Store) ([]lifecycle.Snapshot, error) { return s.List(k.ctx, q) })
		if len(page) < q.Limit || k.one(3) {
			return
		}
		q = q.Following(&page[len(page)-1])
	}
}

func (k *spacePlay) builds() {
	if len(k.made) > 0 {
		id, before, limit := k.some(1)[0], int64(k.r.IntN(4)), 1+k.r.IntN(4)
		_, _ = ask(k.pair, fmt.Sprint("Builds ", id, before, limit), func(s store.Store) ([]lifecycle.Build, error) { return s.Builds(k.ctx, id, before, limit) })
	}
	q := lifecycle.BuildQuery{Limit: 1 + k.r.IntN(6)}
	q.Organizations, _, _ = k.restriction()
	for k.one(3) {
		q.Statuses = append(q.Statuses, lifecycle.JobPending+lifecycle.JobStatus(k.r.IntN(6)))
	}
	if k.one(3) {
		q.Since = k.around(k.now.Add(-5*time.Hour), 5*time.Hour)
	}
	for {
		page, _ := ask(k.pair, fmt.Sprintf("FleetBuilds %+v", q), func(s store.Store) ([]lifecycle.FleetBuild, error) { return s.FleetBuilds(k.ctx, q) })
		if len(page) < q.Limit || k.one(3) {
			return
		}
		q = q.Following(&page[len(page)-1].Build)
	}
}

func (k *spacePlay) registry() {
	t := lifecycle.TemplateQuery{Limit: 1 + k.r.IntN(3)}
	t.Organizations, t.After, _ = k.restriction()
	_, _ = ask(k.pair, fmt.Sprintf("Templates %+v", t), func(s store.Store) (shown []shownTemplate, err error) {
		found, err := s.Templates(k.ctx, t)
		for _, one := range found {
			shown = append(shown, showTemplate(one))
		}
		return shown, err
	})
	o := lifecycle.OwnerQuery{Limit: 1 + k.r.IntN(3)}
	_, _, o.After = k.restriction()
	_, _ = ask(k.pair, fmt.Sprintf("Owners %+v", o), func(s store.Store) ([]lifecycle.Owner, error) { return s.Owners(k.ctx, o) })
}

// leasedEvent is the same event in both stores, which number each in its own way.
type leasedEvent struct{ want, got int64 }

// events makes a call that answers with events, and returns their numbers.
func (k *spacePlay) events(say string, call func(store.Store) ([]lifecycle.Event, error)) []leasedEvent {
	k.Helper()
	seqs := map[bool][]int64{}
	_, _ = ask(k.pair, say, func(s store.Store) (shown []string, err error) {
		found, err := call(s)
		for _, e := range found {
			seqs[s == k.want] = append(seqs[s == k.want], e.Seq)
			e.Seq = 0
			text, err := json.Marshal(e)
			if err != nil {
				return nil, err
			}
			shown = append(shown, string(text))
		}
		return shown, err
	})
	var all []leasedEvent
	for i, seq := range seqs[true] {
		all = append(all, leasedEvent{seq, seqs[false][i]})
	}
	return all
}

func (k *spacePlay) someTopics() []lifecycle.Topic {
	return someOf(k.pair, lifecycle.AllTopics.List(), 1+k.r.IntN(3))
}

func (k *spacePlay) claimEvents() {
	// All that can be claimed: of more than that, which ones share a claim depends on instants that nobody promises.
	topics, lease, limit := k.someTopics(), time.Duration(1+k.r.IntN(60))*time.Minute, 1000
	k.leased = append(k.leased, k.events(fmt.Sprint("ClaimEvents at ", k.now, topics, lease, limit), func(s store.Store) ([]lifecycle.Event, error) {
		return s.ClaimEvents(k.ctx, k.now, topics, lease, limit)
	})...)
}

func (k *spacePlay) settleEvents() {
	some := someOf(k.pair, k.leased, k.r.IntN(4)) // what was claimed twice is there twice, and settled once
	slices.SortFunc(some, func(a, b leasedEvent) int { return cmp.Compare(a.want, b.want) })
	some = slices.Compact(some)
	retry := make([]time.Time, len(some))
	for i := range retry {
		if k.one(3) {
			retry[i] = k.around(k.now, time.Hour)
		}
	}
	_, _ = ask(k.pair, fmt.Sprint("SettleEvents ", some, retry), func(s store.Store) (bool, error) {
		var all []lifecycle.Delivery
		for i, e := range some {
			seq := e.got
			if s == k.want {
				seq = e.want
			}
			all = append(all, lifecycle.Delivery{Seq: seq, RetryAt: retry[i]})
		}
		return true, s.SettleEvents(k.ctx, k.now, all)
	})
}

func (k *spacePlay) pruneEvents() {
	topics, before := k.someTopics(), k.around(k.now.Add(-4*time.Hour), 4*time.Hour)
	k.events(fmt.Sprint("PruneEvents ", before, topics), func(s store.Store) ([]lifecycle.Event, error) {
		return s.PruneEvents(k.ctx, before, topics, 1000)
	})
}

func (k *spacePlay) pruneBuilds() {
	before := k.around(k.now.Add(-6*time.Hour), 6*time.Hour)
	_, _ = ask(k.pair, fmt.Sprint("PruneBuilds ", before), func(s store.Store) (sum int, err error) {
		for {
			n, err := s.PruneBuilds(k.ctx, before, 3)
			if sum += n; err != nil || n < 3 {
				return sum, err
			}
		}
	})
	found := ids(k.load(k.made...))
	k.made = slices.DeleteFunc(k.made, func(id uuid.UUID) bool { return !slices.Contains(found, id) })
}

// everything compares all that is stored in the end.
func (k *spacePlay) everything() {
	k.load(k.made...)
	for _, id := range k.made {
		_, _ = ask(k.pair, fmt.Sprint("Builds ", id), func(s store.Store) ([]lifecycle.Build, error) { return s.Builds(k.ctx, id, 0, 1000) })
	}
	_, _ = ask(k.pair, "all jobs", func(s store.Store) ([]queue.Job, error) { return s.Jobs(k.ctx, queue.Filter{IDs: k.jobs}) })
	for k.now = k.now.AddDate(1, 0, 0); ; {
		n := len(k.leased)
		k.claimEvents()
		if len(k.leased) == n {
			return
		}
		k.leased = k.leased[n:]
		k.settleEvents()
	}
}
