package dispatch_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/dispatch"
)

// The rule of the dispatcher, on random histories of workers who come and leave, jobs that are posted here and elsewhere,
// claims that overlap, fail, lose their answers and take effect late, listings that are old when they arrive, limits, and
// turns of other processes: when nothing is under way any more, no worker waits for whom a claimable job is ready; and no
// job is ever given to two workers.
func TestModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4000) {
		m := newModel(seed)
		for range 250 {
			m.step()
		}
		m.settle()
		if problem := m.check(); problem != "" {
			t.Fatalf("seed %d: %s", seed, problem)
		}
	}
}

// model is one process's dispatcher, a store, and the rest of the world.
type model struct {
	rng     *rand.Rand
	d       *dispatch.Dispatcher
	jobs    []*modelJob // the store
	order   int64
	limit   int // of running jobs of a tenant; 0: none
	tags    []map[string]string
	waiters []*dispatch.Waiter
	queued  []*dispatch.Domain
	retry   []*dispatch.Domain
	claims  []*modelClaim
	looks   []modelLook
	// looksAgain: looks come at any time. They repair what they find, so half of the histories do without.
	looksAgain bool
	turns      []dispatch.Turn
	seq        uint64
	problem    string
}

type modelJob struct {
	queue.Job
	taken bool
	owner *dispatch.Waiter
}

// modelClaim is a claim in flight: prepared, carried out, answered.
type modelClaim struct {
	round  *dispatch.Round
	probes []dispatch.Probe
	done   bool
	answer queue.Claimed
}

// modelLook is a listing in flight.
type modelLook struct {
	mark  uint64
	lanes []queue.ReadyLane
	done  bool
}

var modelTags = []map[string]string{nil, {"x": "1"}, {"y": "1"}, {"x": "1", "y": "1"}, {"z": "1"}}

func newModel(seed uint64) *model {
	m := &model{rng: rand.New(rand.NewPCG(seed, 1))}
	m.tags = modelTags[:1+m.rng.IntN(len(modelTags))]
	m.limit, m.looksAgain = max(0, m.rng.IntN(6)-2), m.rng.IntN(2) == 0
	m.d = dispatch.New(dispatch.Hooks{
		Claim:    func(d *dispatch.Domain) { m.queued = append(m.queued, d) },
		Announce: func(queue.Lane, int64, int) {},
	})
	return m
}

func (m *model) step() {
	steps := []func(){
		m.join, m.join, m.leave, m.post, m.post, m.postRemote, m.begin, m.begin, m.carryOut, m.carryOut, m.answer, m.answer,
		m.fail, m.putOff, m.retryOne, m.end, m.end, m.otherTakes, m.lookAgain, m.list, m.takeListing, m.endTurn, m.forget,
	}
	steps[m.rng.IntN(len(steps))]()
}

// pick takes a random item off a list; ok is false if there is none.
func pick[T any](m *model, list *[]T) (item T, ok bool) {
	if len(*list) == 0 {
		return item, false
	}
	i := m.rng.IntN(len(*list))
	item = (*list)[i]
	*list = slices.Delete(*list, i, i+1)
	return item, true
}

func (m *model) join() {
	domain, err := queue.NewDomain(org, []string{"build"}, m.tags[m.rng.IntN(len(m.tags))])
	if err != nil {
		panic(err)
	}
	w := &dispatch.Waiter{Worker: uuid.New()}
	if !m.d.Knows(org) { // the first to come looks for itself
		defer m.look()
	}
	m.d.Join(w, domain)
	m.waiters = append(m.waiters, w)
}

func (m *model) leave() {
	if w, ok := pick(m, &m.waiters); ok {
		w.Leave(now)
	}
}

// store adds a job that nobody knows of yet.
func (m *model) store() queue.Lane {
	tags, err := queue.NewTagSet(m.tags[m.rng.IntN(len(m.tags))])
	if err != nil {
		panic(err)
	}
	l := queue.Lane{Organization: org, Type: "build", Tags: tags, Priority: int16(m.rng.IntN(2))}
	m.order++
	j := &modelJob{Job: job(l, uuid.Nil, m.order)}
	j.Tenant = uuid.UUID{byte(m.rng.IntN(2))}
	m.jobs = append(m.jobs, j)
	return l
}

func (m *model) post() { m.d.PostLocal(m.store(), m.order, 1) }

func (m *model) postRemote() {
	m.seq++
	turn := m.d.PostRemote(m.store(), m.order, m.rng.IntN(2), dispatch.Source{Process: uuid.UUID{9}, Seq: m.seq}, m.rng.IntN(2) == 0)
	if turn.Theirs() {
		m.turns = append(m.turns, turn)
	}
}

func (m *model) begin() {
	domain, ok := pick(m, &m.queued)
	if !ok {
		return
	}
	if r := domain.Unsettled(); r != nil {
		m.settleClaim(r)
		return
	}
	if r := m.d.Begin(domain, 1+m.rng.IntN(3)); r != nil {
		m.claims = append(m.claims, &modelClaim{round: r, probes: r.Probes()})
	}
}

// settleClaim looks up what a claim got whose answer was lost.
func (m *model) settleClaim(r *dispatch.Round) {
	if m.rng.IntN(4) == 0 {
		m.d.SettleFailed(r.Domain())
		m.retry = append(m.retry, r.Domain())
		return
	}
	var got []queue.Job
	for _, j := range m.jobs {
		if j.taken && j.owner == nil && j.Token == r.Token {
			got = append(got, j.Job)
		}
	}
	awards, rest := m.d.Settle(r, got)
	m.take(awards, rest)
}

// carryOut lets the store carry out a claim: one after the other, in any order.
func (m *model) carryOut() {
	var open []*modelClaim
	for _, c := range m.claims {
		if !c.done {
			open = append(open, c)
		}
	}
	if len(open) == 0 {
		return
	}
	c := open[m.rng.IntN(len(open))]
	c.done = true
	workers := c.round.Workers()
	for _, j := range m.claimable(c.probes) {
		if len(c.answer.Jobs) == len(workers) {
			return
		}
		if m.limited(j) {
			c.answer.Limited = true
			continue
		}
		j.taken, j.Token, j.Worker = true, c.round.Token, workers[len(c.answer.Jobs)]
		c.answer.Jobs = append(c.answer.Jobs, j.Job)
	}
}

// claimable are the ready jobs of the probed lanes in line. The bounds are taken at their word.
func (m *model) claimable(probes []dispatch.Probe) []*modelJob {
	var list []*modelJob
	for _, j := range m.jobs {
		if !j.taken && slices.ContainsFunc(probes, func(p dispatch.Probe) bool { return p.Lane == j.Lane() && p.From <= j.Order }) {
			list = append(list, j)
		}
	}
	slices.SortFunc(list, func(a, b *modelJob) int {
		return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(a.Order, b.Order))
	})
	return list
}

// limited reports whether the limit of its tenant stops a job.
func (m *model) limited(j *modelJob) bool {
	running := 0
	for _, other := range m.jobs {
		if other.taken && other.Tenant == j.Tenant {
			running++
		}
	}
	return m.limit > 0 && running >= m.limit
}

// carriedOut takes off a claim that was carried out.
func (m *model) carriedOut() (*modelClaim, bool) {
	i := slices.IndexFunc(m.claims, func(c *modelClaim) bool { return c.done })
	if i < 0 {
		return nil, false
	}
	c := m.claims[i]
	m.claims = slices.Delete(m.claims, i, i+1)
	return c, true
}

func (m *model) answer() {
	if c, ok := m.carriedOut(); ok {
		awards, rest, _ := m.d.Finish(c.round, c.answer)
		m.take(awards, rest)
	}
}

// fail loses an answer, or the whole claim.
func (m *model) fail() {
	if m.rng.IntN(2) == 0 {
		if c, ok := m.carriedOut(); ok {
			m.d.Fail(c.round)
			m.retry = append(m.retry, c.round.Domain())
		}
		return
	}
	i := slices.IndexFunc(m.claims, func(c *modelClaim) bool { return !c.done })
	if i < 0 {
		return
	}
	c := m.claims[i]
	m.claims = slices.Delete(m.claims, i, i+1)
	m.d.Void(c.round)
	m.retry = append(m.retry, c.round.Domain())
}

// putOff puts a claim off that is queued; it stays so.
func (m *model) putOff() {
	if len(m.queued) > 0 {
		m.d.PutOff(m.queued[m.rng.IntN(len(m.queued))])
	}
}

func (m *model) retryOne() {
	if domain, ok := pick(m, &m.retry); ok {
		m.d.Retry(domain)
	}
}

// take hands out awards, and puts the rest back into the store, in front.
func (m *model) take(awards []dispatch.Award, rest []queue.Job) {
	for _, a := range awards {
		j := m.find(a.Job.ID)
		i := slices.Index(m.waiters, a.Waiter)
		if j.owner != nil || i < 0 {
			m.problem = fmt.Sprintf("job %s given to a second worker, or to one who does not wait", a.Job.ID)
			return
		}
		j.owner = a.Waiter
		a.Domain().Started()
		m.waiters = slices.Delete(m.waiters, i, i+1)
	}
	for _, j := range rest {
		m.release(m.find(j.ID))
	}
}

func (m *model) release(j *modelJob) {
	j.taken, j.owner, j.Token, j.Worker = false, nil, uuid.Nil, uuid.Nil
	m.d.Freed(org)
	m.d.PostLocal(j.Lane(), j.Order, 1)
}

func (m *model) find(id uuid.UUID) *modelJob {
	return m.jobs[slices.IndexFunc(m.jobs, func(j *modelJob) bool { return j.ID == id })]
}

// end ends or requeues a job in hand.
func (m *model) end() {
	for i, j := range m.jobs {
		if j.owner == nil || m.rng.IntN(2) == 0 {
			continue
		}
		j.owner.Domain().Ended(now)
		if m.rng.IntN(4) == 0 {
			m.release(j)
			return
		}
		m.jobs = slices.Delete(m.jobs, i, i+1)
		m.d.Freed(org)
		return
	}
}

// otherTakes lets another process drain the lane of a turn, and say so.
func (m *model) otherTakes() {
	turn, ok := pick(m, &m.turns)
	if !ok {
		return
	}
	probe := dispatch.Probe{Lane: turn.Lane()}
	ours := m.claimable([]dispatch.Probe{probe})
	m.jobs = slices.DeleteFunc(m.jobs, func(j *modelJob) bool { return slices.Contains(ours, j) })
	m.d.Taken(probe.Lane, turn.Source())
	m.turns = append(m.turns, turn) // its end comes all the same
}

func (m *model) endTurn() {
	if turn, ok := pick(m, &m.turns); ok {
		m.d.EndTurn(turn)
	}
}

func (m *model) lookAgain() {
	if m.looksAgain {
		m.look()
	}
}

func (m *model) look() { m.looks = append(m.looks, modelLook{mark: m.d.Mark()}) }

// list lets the store answer a look.
func (m *model) list() {
	i := slices.IndexFunc(m.looks, func(l modelLook) bool { return !l.done })
	if i < 0 {
		return
	}
	m.looks[i].done = true
	found := make(map[queue.Lane]queue.ReadyLane)
	for _, j := range m.jobs {
		if j.taken {
			continue
		}
		l, known := found[j.Lane()]
		if !known || j.Order < l.From {
			l.From = j.Order
		}
		l.Lane, l.Count, l.Oldest = j.Lane(), 1, now
		found[j.Lane()] = l
	}
	for _, l := range found {
		m.looks[i].lanes = append(m.looks[i].lanes, l)
	}
	slices.SortFunc(m.looks[i].lanes, func(a, b queue.ReadyLane) int { return cmp.Compare(a.From, b.From) })
}

func (m *model) takeListing() {
	i := slices.IndexFunc(m.looks, func(l modelLook) bool { return l.done })
	if i < 0 {
		return
	}
	l := m.looks[i]
	m.looks = slices.Delete(m.looks, i, i+1)
	m.d.Listed([]uuid.UUID{org}, l.mark, l.lanes, m.rng.IntN(4) == 0)
}

func (m *model) forget() { m.d.Forget(now) }

// settle lets everything happen that is under way, and nothing new.
func (m *model) settle() {
	for m.problem == "" && len(m.queued)+len(m.retry)+len(m.claims)+len(m.looks)+len(m.turns) > 0 {
		for _, step := range []func(){m.begin, m.carryOut, m.answer, m.retryOne, m.list, m.takeListing, m.endTurn} {
			step()
		}
	}
}

func (m *model) check() string {
	if m.problem != "" {
		return m.problem
	}
	for _, w := range m.waiters {
		for _, j := range m.jobs {
			if !j.taken && !m.limited(j) && w.Domain().Runs(j.Lane()) {
				return fmt.Sprintf("a worker with %q sleeps while a job with %q is ready", w.Domain().Tags, j.Tags)
			}
		}
	}
	return ""
}
