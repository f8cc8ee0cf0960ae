package storetest

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/store"
)

// testForget has a person who owns and acts, and looks for them in whatever can be read afterwards.
func testForget(f *fixture, s store.Store) {
	forgetter, ok := s.(store.Forgetter)
	if !ok {
		f.Skip("the store forgets nobody")
	}
	k := &forgetKit{fixture: f, s: s, f: forgetter, zoe: lifecycle.Owner{ID: uuid.New(), Name: "zoe"}}
	k.must(s.PutOwner(f.ctx, epoch, k.zoe))
	k.p = store.Person{ID: k.zoe.ID, Names: []string{"zoe", "zoe@example.com"}, Pseudonym: uuid.New()}
	k.refusals()
	k.leaveTraces()
	before := k.all()
	k.rule(strings.Count(before, "zoe") > 10 && strings.Contains(before, k.zoe.ID.String()), "the test itself sees her: %s", before)

	elsewhere := k.p
	elsewhere.Organization, elsewhere.Names = uuid.New(), []string{"nobody"}
	k.must(forgetter.Forget(f.ctx, elsewhere))
	k.rule(k.all() == before, "who is forgotten in another organization is not forgotten in this one:\n%s\nwas\n%s", k.all(), before)

	k.must(forgetter.Forget(f.ctx, k.p))
	k.forgotten()
	k.must(forgetter.Forget(f.ctx, k.p)) // again
	k.forgotten()
}

// forgetKit is a store with somebody who is to be forgotten.
type forgetKit struct {
	*fixture
	s      store.Store
	f      store.Forgetter
	p      store.Person
	zoe    lifecycle.Owner
	others lifecycle.Snapshot // where she only acted
	jobs   []uuid.UUID
}

// refused has the store refuse to forget her, without an effect.
func (k *forgetKit) refused(why string) {
	k.Helper()
	k.rule(errors.Is(k.f.Forget(k.ctx, k.p), lifecycle.ErrInUse), "nobody is forgotten who has %s", why)
	_, found, err := k.s.Owner(k.ctx, k.zoe.ID)
	k.must(err)
	k.rule(found, "a refusal has no effect")
}

func (k *forgetKit) refusals() {
	for _, p := range []store.Person{
		{}, {ID: k.zoe.ID}, {Names: []string{""}, Pseudonym: uuid.New()}, {ID: k.zoe.ID, Pseudonym: k.zoe.ID},
	} {
		k.rule(errors.Is(k.f.Forget(k.ctx, p), invalid.Err), "%+v is refused", p)
	}
	w := k.workspace()
	w.OwnerID, w.Name = k.zoe.ID, "of-zoe"
	k.must(k.s.CreateWorkspaces(k.ctx, epoch, w))
	k.refused("a workspace")
	k.commit(k.withJob(k.load(w.ID), nil)) // its job is hers, and is not over
	gone := k.ended(k.load(w.ID), lifecycle.JobFailed, epoch)
	gone.Workspace.Deleted, gone.Workspace.Hold = true, lifecycle.Hold{Rules: lifecycle.HoldAll, By: "zoe", Note: "zoe's"}
	gone.Build.Initiator, gone.Build.Error, gone.Build.Result = "zoe", "in zoe's words", "zoe.example.com"
	gone.Events = []lifecycle.Event{event(gone, lifecycle.TopicNotice, "dear zoe"), event(gone, lifecycle.TopicAudit, "zoe's was deleted")}
	k.commit(gone)
	k.refused("a job")
	job, err := k.s.Cancel(k.ctx, queue.Cancellation{IDs: []uuid.UUID{gone.Build.ID}, Now: epoch})
	k.must(err)
	k.rule(len(job) == 1 && job[0].State.Final(), "a pending job that is canceled is over: %+v", job)
	k.jobs = append(k.jobs, gone.Build.ID)
}

// leaveTraces has her act on what is others'.
func (k *forgetKit) leaveTraces() {
	k.others = k.create(1)[0]
	id := k.others.Workspace.ID
	k.commit(k.withJob(k.others, nil))
	first := k.ended(k.load(id), lifecycle.JobSucceeded, epoch)
	k.commit(first)
	second := k.withJob(k.load(id), nil)
	second.Build.Initiator, second.Workspace.Hold = "zoe@example.com", lifecycle.Hold{Rules: lifecycle.HoldAll, By: "zoe", Note: "zoe is away"}
	e := event(second, lifecycle.TopicAudit, "zoe asked")
	e.Actor, e.Note = "zoe", "says zoe"
	second.Events = []lifecycle.Event{e}
	k.commit(second)
	k.commit(k.ended(k.load(id), lifecycle.JobSucceeded, epoch))
	third := k.withJob(k.load(id), nil) // the second build becomes history
	third.Build.Initiator = "zoe"
	k.commit(third)

	_, err := k.s.Cancel(k.ctx, queue.Cancellation{IDs: []uuid.UUID{third.Build.ID}, Now: epoch})
	k.must(err)
	_, err = k.s.RetryJobs(k.ctx, queue.Retry{IDs: []uuid.UUID{third.Build.ID}, Now: epoch, By: "zoe", Note: "zoe tries"})
	k.must(err)
	k.jobs = append(k.jobs, third.Build.ID)
	k.must(k.s.PauseJobs(k.ctx, queue.Pause{Scope: queue.Scope{Type: "t"}, At: epoch, By: "zoe", Note: "zoe pauses"}))
	k.template.Hold = lifecycle.Hold{Rules: lifecycle.HoldStarts, By: "zoe", Note: "zoe holds"}
	k.put(epoch, &k.template)
	k.must(k.s.PutEngine(k.ctx, epoch, lifecycle.Engine{Hold: lifecycle.Hold{Rules: lifecycle.HoldStarts, By: "zoe", Note: "zoe stops all"}}))
	for _, of := range []lifecycle.Event{{TemplateID: k.template.ID, OrganizationID: k.template.OrganizationID}, {OwnerID: k.zoe.ID}, {}} {
		of.Topic, of.Kind, of.At, of.Actor, of.Note = lifecycle.TopicAudit, "test", epoch, "zoe", "says zoe"
		k.must(k.s.Recording(of).PutOwner(k.ctx, epoch, k.owner)) // whatever it is about
	}
	k.claimMember()
}

// claimMember has her claim a member of a pool, and puts the pool on hold; with the member she cannot be forgotten.
func (k *forgetKit) claimMember() {
	m := prewarm.Member{
		ID: uuid.New(), Pool: "pool", Version: "v", State: prewarm.Claimed, CreatedAt: epoch, ReadyAt: epoch,
		Claim: prewarm.Claim{Key: "key", Owner: "zoe", Details: "to zoe", At: epoch},
	}
	m.Resource = m.ID
	put := func() {
		applied, err := k.s.PutMembers(k.ctx, nil, []prewarm.Change{{Member: m}})
		k.must(err)
		k.rule(len(applied) == 1 && applied[0], "a member is put: %v", applied)
		m.Revision++
	}
	put()
	k.refused("a pool member")
	m.State, m.Deadline = prewarm.Gone, epoch.Add(time.Hour)
	put()
	_, err := k.s.PutMembers(k.ctx, &prewarm.PoolState{Pool: "pool", Paused: true, PausedBy: "zoe"}, nil)
	k.must(err)
}

// all is everything that the store lets one read, as text.
func (k *forgetKit) all() string {
	k.Helper()
	var b strings.Builder
	show := func(what string, v any, err error) {
		k.must(err)
		text, err := json.Marshal(v)
		k.must(err)
		fmt.Fprintf(&b, "%s: %s\n", what, text)
	}
	var statuses []lifecycle.Status
	for n := lifecycle.Status(0); ; n++ {
		if _, err := n.MarshalText(); err != nil {
			break
		}
		statuses = append(statuses, n)
	}
	list, err := k.s.List(k.ctx, lifecycle.ListQuery{Limit: 100, Statuses: statuses})
	show("workspaces", list, err)
	for _, s := range list {
		builds, err := k.s.Builds(k.ctx, s.Workspace.ID, 0, 100)
		show("builds", builds, err)
	}
	owners, err := k.s.Owners(k.ctx, lifecycle.OwnerQuery{Limit: 100})
	show("owners", fmt.Sprintf("%+v", owners), err)
	templates, err := k.s.Templates(k.ctx, lifecycle.TemplateQuery{Limit: 100})
	show("templates", templates, err)
	engine, err := k.s.Engine(k.ctx)
	show("engine", engine, err)
	for _, id := range k.jobs {
		jobs, err := k.s.Jobs(k.ctx, queue.Filter{IDs: []uuid.UUID{id}})
		show("jobs", jobs, err)
		history, err := k.s.Attempts(k.ctx, id)
		show("attempts", history, err)
	}
	pauses, err := k.s.Pauses(k.ctx, epoch)
	show("pauses", pauses, err)
	state, err := k.s.PoolState(k.ctx, "pool")
	show("pool", state, err)
	members, err := k.s.Members(k.ctx, prewarm.Query{Pool: "pool"})
	show("members", members, err)
	k.events(show)
	return b.String()
}

// events shows what waits, and gives it back.
func (k *forgetKit) events(show func(string, any, error)) {
	for _, topic := range lifecycle.AllTopics.List() {
		var seen []lifecycle.Event
		for { // each workspace's one after the other
			events, err := k.s.ClaimEvents(k.ctx, epoch, []lifecycle.Topic{topic}, time.Second, 100)
			k.must(err)
			if len(events) == 0 {
				break
			}
			for i := range events {
				events[i].Attempt = 0
			}
			seen = append(seen, events...)
		}
		show(topic.String(), seen, nil)
		var back []lifecycle.Delivery
		for _, e := range seen {
			back = append(back, lifecycle.Delivery{Seq: e.Seq, RetryAt: epoch})
		}
		k.must(k.s.SettleEvents(k.ctx, epoch, back))
	}
}

// forgotten sees that nothing speaks of her, and that what happened is still there.
func (k *forgetKit) forgotten() {
	k.Helper()
	after := k.all()
	shown := after
	if k.o.Dump != nil {
		shown += k.o.Dump(k.T, k.s)
	}
	for _, trace := range []string{"zoe", k.zoe.ID.String(), string(k.zoe.ID[:]), hex.EncodeToString(k.zoe.ID[:])} {
		k.rule(!strings.Contains(shown, trace), "%q is forgotten:\n%s", trace, shown)
	}
	w := k.load(k.others.Workspace.ID)
	as := k.p.Pseudonym.String()
	k.rule(w.Workspace.Hold.By == as && w.Workspace.Hold.Rules == lifecycle.HoldAll, "her holds stay, under the pseudonym: %+v", w.Workspace.Hold)
	k.rule(w.Build.Initiator == as && w.Build.Number == 3, "the builds she asked for stay, under the pseudonym: %+v", w.Build)
	k.rule(w.Engine.Hold.By == as && w.Template.Hold.By == as, "so do her holds of everything")
	k.rule(strings.Count(after, as) >= 8, "the pseudonym stands where she acted:\n%s", after)
	k.rule(strings.Contains(after, `"kind":"test"`) || strings.Contains(after, `"topic":"audit"`), "what waits for the audit log is kept:\n%s", after)
	stale := wakeAt(k.others, epoch)
	stale.Workspace.Hold.By = "zoe"
	k.rule(k.commit(stale)[0] == lifecycle.Conflict, "what was computed while she was known is a conflict")
	k.rule(errors.Is(k.s.PutTemplate(k.ctx, epoch, k.template), lifecycle.ErrStaleTemplate), "and so is a template that was read while she was known")
}
