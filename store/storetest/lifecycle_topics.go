package storetest

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
)

// testTopics has processes say what they receive, and a host put the engine.
func testTopics(f *fixture) {
	sub, h := skipUnless[lifecycle.Subscriber](f), skipUnless[lifecycle.Holder](f)
	s := f.create(1)[0]
	f.rule(s.Engine.Topics == 0, "nobody receives anything at first: %v", s.Engine.Topics.List())
	var wg sync.WaitGroup
	for _, topic := range lifecycle.AllTopics.List() {
		wg.Go(func() {
			if err := sub.ChangeTopics(f.ctx, 1<<topic, 0); err != nil {
				f.Errorf("broken rule: topics that several add at once are added: %v", err)
			}
		})
	}
	wg.Wait()
	got := f.load(s.Workspace.ID)
	f.rule(got.Engine.Topics == lifecycle.AllTopics, "a snapshot has the topics that were added: got %v", got.Engine.Topics.List())
	f.rule(got.Workspace.Revision == s.Workspace.Revision && got.Workspace.WakeAt.Equal(s.Workspace.WakeAt), "topics wake nothing and outdate nothing")
	f.must(sub.ChangeTopics(f.ctx, 1<<lifecycle.TopicAudit, lifecycle.AllTopics))
	f.must(h.PutEngine(f.ctx, epoch, lifecycle.Engine{DeletionsReleasedUntil: epoch, Topics: 1 << lifecycle.TopicPost}))
	e, err := h.Engine(f.ctx)
	f.must(err)
	f.rule(e.Topics == 1<<lifecycle.TopicAudit, "what is added and removed stays added, and putting the engine keeps the topics: got %v", e.Topics.List())
	f.rule(e.DeletionsReleasedUntil.Equal(epoch), "topics concern nothing else of the engine: got %+v", e)
}

// testTopicsTicks has a process that receives notices and jobs, and others, on the same store, that know nothing of it.
func testTopicsTicks(f *fixture) {
	sub, o := skipUnless[lifecycle.Subscriber](f), skipUnless[lifecycle.Outbox](f)
	received := func(context.Context, lifecycle.Event) error { return nil }
	f.ticks(epoch, f.executor(executor.Config{Notifier: received, Poster: received}))

	asked, due := f.create(2), f.create(2)
	f.template.Policy.DefaultTTL, f.template.Policy.AllowUserTTL = time.Hour, false
	f.put(epoch, &f.template)
	for _, s := range due { // each runs, and is to be stopped
		f.commit(f.build(f.load(s.Workspace.ID), lifecycle.TransitionStart))
		f.commit(f.ended(f.load(s.Workspace.ID), lifecycle.JobSucceeded, epoch))
	}
	other := f.executor(executor.Config{}) // receives nothing itself
	made, _ := f.ticks(epoch.Add(2*time.Hour), other)
	f.rule(len(made) == len(due), "what is due is stopped: %v", made)
	update := func(id uuid.UUID) {
		e, err := executor.NewClient(f.s, executor.ClientConfig{}) // has read nothing before
		f.must(err)
		_, err = e.Update(f.ctx, id, lifecycle.RequestBuild(lifecycle.TransitionStart, uuid.Nil))
		f.must(err)
	}
	update(asked[0].Workspace.ID)

	claimed := func(topic lifecycle.Topic) (got []lifecycle.Event) {
		got, err := o.ClaimEvents(f.ctx, epoch, []lifecycle.Topic{topic}, time.Minute, 100)
		f.must(err)
		return got
	}
	jobs := claimed(lifecycle.TopicPost)
	f.rule(len(jobs) == 3, "every process writes the jobs for whoever posts them: got %d events for 3 builds", len(jobs))
	for _, e := range jobs {
		f.rule(e.Job != nil && e.Job.WorkspaceID == e.WorkspaceID, "the event carries the job: %+v", e)
	}
	f.rule(len(claimed(lifecycle.TopicAudit)) == 0, "what nobody receives is not written")

	f.must(sub.ChangeTopics(f.ctx, 0, lifecycle.AllTopics))
	update(asked[1].Workspace.ID)
	f.rule(len(claimed(lifecycle.TopicPost)) == 0, "what nobody receives any more is not written")
}
