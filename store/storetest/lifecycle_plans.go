package storetest

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/coder/quartz"
	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
)

// planners are two replicas that change the policy of one template by plans, each a page at a time.
type planners struct {
	*fixture
	r         *rand.Rand
	clock     *quartz.Mock
	executors []*executor.Executor
	registry  lifecycle.Registry
	ids       []uuid.UUID
	plans     []lifecycle.PolicyPlan
	// put are the indexes of the plans that the template has got, the newest last.
	put []int
}

// testPlans has plans over one template that are made, applied and resumed in many orders, beside ticks: what holds at the end
// is what the newest policy and its graces say.
func testPlans(f *fixture) {
	registry := skipUnless[lifecycle.Registry](f)
	for seed := range uint64(6) {
		p := &planners{fixture: f, r: rand.New(rand.NewPCG(seed, 11)), clock: quartz.NewMock(f.T).WithLogger(quartz.NoOpLogger), registry: registry} //nolint:gosec // repeatable
		p.clock.Set(epoch)
		cfg := executor.Config{Clock: p.clock, PageSize: 2, BatchSize: 2}
		p.executors = []*executor.Executor{f.executor(cfg), f.executor(cfg)}
		p.sleepers(5)
		for range 24 {
			p.clock.Set(p.clock.Now().Add(time.Minute))
			switch e := p.executors[p.r.IntN(2)]; {
			case len(p.plans) == 0 || p.r.IntN(4) == 0:
				p.plan(e)
			case p.r.IntN(3) == 0:
				f.must(e.Tick(f.ctx, p.clock.Now()).Err)
			default:
				p.resume(e, p.r.IntN(len(p.plans)))
			}
		}
		p.finish(seed)
	}
}

// sleepers are dormant workspaces of a template of their own.
func (p *planners) sleepers(n int) {
	p.template.ID, p.template.Revision = uuid.New(), 0
	p.template.Policy.TimeTilAutodelete = 20 * 24 * time.Hour
	p.fixture.put(epoch, &p.template)
	for _, s := range p.create(n) {
		c := wakeAt(s, time.Time{})
		c.Workspace.DormantAt = epoch.Add(-48 * time.Hour)
		c.Workspace.DeletingAt = c.Workspace.DormantAt.Add(p.template.Policy.TimeTilAutodelete)
		p.commit(c)
		p.ids = append(p.ids, s.Workspace.ID)
	}
}

func (p *planners) plan(e *executor.Executor) {
	policy := p.template.Policy
	policy.TimeTilAutodelete = []time.Duration{24, 10 * 24, 90 * 24}[p.r.IntN(3)] * time.Hour
	plan, err := e.Plan(p.ctx, p.template.ID, lifecycle.PolicyChange{Policy: policy})
	p.must(err)
	p.plans = append(p.plans, plan)
}

// resume applies a page of a plan, as a process does that dies after it, or all that is left of it.
func (p *planners) resume(e *executor.Executor, i int) {
	ctx, cancel := context.WithCancel(p.ctx)
	defer cancel()
	dies := p.r.IntN(3) > 0
	last, err := e.Apply(ctx, p.plans[i], func(seen lifecycle.PolicyPlan) {
		if p.plans[i] = seen; dies {
			cancel()
		}
	})
	if err == nil {
		p.plans[i] = last
	}
	newest := p.newest()
	switch n := len(p.put); {
	case newest == i && (n == 0 || p.put[n-1] != i):
		for _, older := range p.put {
			p.rule(older != i, "a plan that a newer one has replaced comes back")
		}
		p.put = append(p.put, i)
	case newest != i:
		p.rule(errors.Is(err, lifecycle.ErrPolicyChanged), "an older plan says that there is a newer policy: %v", err)
	}
}

// newest is the plan that the template has its policy from, -1 if from none.
func (p *planners) newest() int {
	t, ok, err := p.registry.Template(p.ctx, p.template.ID)
	p.must(err)
	p.rule(ok, "the template is there")
	for i := range p.plans {
		if p.plans[i].Check(t) == nil {
			return i
		}
	}
	return -1
}

// finish applies the newest plan to its end, and looks at every workspace.
func (p *planners) finish(seed uint64) {
	e, newest := p.executors[0], p.newest()
	if newest < 0 {
		p.plan(e)
		newest = len(p.plans) - 1
	}
	done, err := e.Apply(p.ctx, p.plans[newest], nil)
	p.must(err)
	p.rule(done.Done, "%d: the newest plan is done: %+v", seed, done)
	t, _, err := p.registry.Template(p.ctx, p.template.ID)
	p.must(err)
	for i := range p.plans {
		if fresh := p.plans[i].Change.Template.Rules == t.Rules; i != newest && !fresh {
			_, err := e.Apply(p.ctx, p.plans[i], nil)
			p.rule(errors.Is(err, lifecycle.ErrPolicyChanged), "%d: an older plan says that there is a newer policy: %v", seed, err)
		}
	}
	threshold := done.Change.Policy.TimeTilAutodelete
	for _, id := range p.ids {
		s := p.load(id)
		w, want := &s.Workspace, s.Workspace.DormantAt.Add(threshold)
		p.rule(s.Template.Policy == done.Change.Policy && w.Seen.Template == s.Template.Rules, "%d: each workspace follows the newest policy: %d of %d", seed, w.Seen.Template, s.Template.Rules)
		if grace := epoch.Add(24 * time.Hour); want.Before(grace) {
			p.rule(!w.DeletingAt.Before(grace) && w.DeletingAt.Before(grace.Add(time.Hour)), "%d: deleted at %v: what would be past leaves a day, from the change on", seed, w.DeletingAt)
		} else {
			p.rule(w.DeletingAt.Equal(want), "%d: deleted at %v, want %v as the newest policy says", seed, w.DeletingAt, want)
		}
	}
	p.ids, p.plans, p.put = nil, nil, nil
}
