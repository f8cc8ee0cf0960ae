package workspaces_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/prewarm/workspaces"
	"github.com/dormouse-go/dormouse/store/memory"
)

var manager = lifecycle.Owner{ID: uuid.New(), Name: "pool go"}

// rig is a pool of workspaces in a bubble, whose builds take a while and succeed.
type rig struct {
	t        *testing.T
	store    *memory.Store
	between  func()                                                   // called once, after members that may be claimed were read, before their workspaces are
	refuse   func(changes []lifecycle.Change, m prewarm.Member) error // a commit of that member; nil: none
	engine   *executor.Client
	template lifecycle.Template
	cfg      workspaces.Config
	pool     prewarm.Config
	w        *workspaces.Workspaces
	p        *prewarm.Pool
	stop     func()

	mu     sync.Mutex
	build  time.Duration
	status lifecycle.JobStatus // of the builds that end
	jobs   sync.WaitGroup
}

func bubble(t *testing.T, size int, configure func(r *rig), test func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, store: memory.New(), build: 30 * time.Second, status: lifecycle.JobSucceeded}
		quiet := slog.New(slog.DiscardHandler)
		engine, err := executor.NewClient(r.store, executor.ClientConfig{Logger: quiet, Queued: r.queued, Topics: []lifecycle.Topic{lifecycle.TopicAudit}})
		r.must(err)
		r.engine = engine
		r.template = lifecycle.Template{
			ID: uuid.New(), Name: "go", ActiveVersionID: uuid.New(),
			Policy: lifecycle.Policy{AllowUserTTL: true, AllowUserAutostart: true, DefaultTTL: 8 * time.Hour},
		}
		r.must(r.store.PutTemplate(t.Context(), time.Now(), r.template))
		for _, name := range []string{"ann", "bob"} {
			r.must(r.store.PutOwner(t.Context(), time.Now(), owner(name)))
		}
		r.cfg = workspaces.Config{Template: r.template.ID, Manager: manager, Hand: r.hand, Logger: quiet}
		r.pool = prewarm.Config{
			Spec:           prewarm.Spec{Name: "go", Version: r.template.ActiveVersionID.String(), Floor: size, Ceiling: 10, HitRate: -1},
			IdleTimeout:    -1, // the lifecycle ends what was claimed
			DestroyOrphans: true, Logger: quiet,
		}
		if configure != nil {
			configure(r)
		}
		r.start()
		defer func() { r.stop(); r.jobs.Wait() }()
		time.Sleep(2 * time.Minute) // in a bubble: until the pool is full
		synctest.Wait()
		test(r)
	})
}

// gap is the rig's store, in which something may happen between two reads.
type gap struct {
	*memory.Store
	r *rig
}

func (g gap) Members(ctx context.Context, q prewarm.Query) ([]prewarm.Member, error) {
	found, err := g.Store.Members(ctx, q)
	if q.Pick == nil {
		return found, err
	}
	g.r.mu.Lock()
	between := g.r.between
	g.r.between = nil
	g.r.mu.Unlock()
	if between != nil {
		between()
	}
	return found, err
}

func (g gap) CommitMembers(ctx context.Context, now time.Time, changes []lifecycle.Change, members []prewarm.Member) ([]lifecycle.Outcome, error) {
	g.r.mu.Lock()
	refuse := g.r.refuse
	g.r.mu.Unlock()
	for i := range members {
		if refuse == nil {
			break
		}
		if err := refuse(changes, members[i]); err != nil {
			return nil, err
		}
	}
	return g.Store.CommitMembers(ctx, now, changes, members)
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func owner(name string) lifecycle.Owner {
	return lifecycle.Owner{ID: uuid.NewSHA1(uuid.Nil, []byte(name)), Name: name}
}

// hand gives a workspace the name in the claim's details.
func (r *rig) hand(ctx context.Context, c prewarm.Claim) (lifecycle.Verb, error) {
	o, ok, err := r.store.Owner(ctx, owner(c.Owner).ID)
	if err == nil && !ok {
		err = errors.New("who is " + c.Owner + "?")
	}
	return lifecycle.Claim(lifecycle.Handover{Owner: o, Name: c.Details}), err
}

// queued ends builds after their time, as a worker does.
func (r *rig) queued(jobs []lifecycle.Job) {
	for _, j := range jobs {
		r.jobs.Go(func() {
			r.mu.Lock()
			build, status := r.build, r.status
			r.mu.Unlock()
			time.Sleep(build) // in a bubble
			_, err := r.engine.Update(context.Background(), j.WorkspaceID, lifecycle.JobEnded(lifecycle.JobResult{BuildID: j.ID, Status: status}))
			if err != nil && !errors.Is(err, lifecycle.ErrStaleBuild) {
				r.t.Errorf("end build: %v", err)
			}
			r.w.Changed()
		})
	}
}

func (r *rig) start() {
	r.t.Helper()
	w, err := workspaces.New(gap{r.store, r}, r.engine, r.cfg)
	r.must(err)
	p, err := prewarm.New(w, w, r.pool)
	r.must(err)
	r.mu.Lock()
	r.w, r.p = w, p
	r.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			r.t.Errorf("Run: %v", err)
		}
	})
	synctest.Wait()
}

// set changes how builds end from now on, and how long they take.
func (r *rig) set(build time.Duration, status lifecycle.JobStatus) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.build, r.status = build, status
}

// refuses has the store refuse some commits of members from now on.
func (r *rig) refuses(refuse func(changes []lifecycle.Change, m prewarm.Member) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refuse = refuse
}

func (r *rig) wait(d time.Duration) {
	time.Sleep(d) // in a bubble
	synctest.Wait()
}

func (r *rig) claim(q prewarm.Request) prewarm.Handout {
	r.t.Helper()
	h, err := r.p.Claim(context.Background(), q)
	if err != nil {
		r.t.Fatalf("claim: %v", err)
	}
	return h
}

func (r *rig) load(id uuid.UUID) lifecycle.Snapshot {
	r.t.Helper()
	found, err := r.store.Load(context.Background(), id)
	r.must(err)
	if len(found) == 0 {
		return lifecycle.Snapshot{Workspace: lifecycle.Workspace{Deleted: true}}
	}
	return found[0]
}

func (r *rig) members(states ...prewarm.State) []prewarm.Member {
	r.t.Helper()
	found, err := r.store.Members(context.Background(), prewarm.Query{Pool: "go", States: states})
	r.must(err)
	return found
}

// managed are the workspaces that nobody has claimed and that are there.
func (r *rig) managed() []lifecycle.Snapshot {
	r.t.Helper()
	found, err := r.store.List(context.Background(), lifecycle.ListQuery{OwnerID: manager.ID, Limit: 100})
	r.must(err)
	return found
}

// consistent checks what holds at every instant: a claimed member's workspace is its owner's, and no other one's is.
func (r *rig) consistent() {
	r.t.Helper()
	for _, m := range r.members() {
		if m.State == prewarm.Gone || m.State == prewarm.Deleting {
			continue
		}
		s := r.load(m.Resource)
		if s.Workspace.ID == uuid.Nil {
			continue // about to be made
		}
		if (m.State == prewarm.Claimed) == s.Workspace.Managed {
			r.t.Errorf("member %s is %s, its workspace of %s is managed: %v", m.ID, m.State, s.Owner.Name, s.Workspace.Managed)
		}
	}
}

func audit(t *testing.T, s *memory.Store, kind lifecycle.EventKind) (messages []string) {
	t.Helper()
	for {
		events, err := s.ClaimEvents(t.Context(), time.Now(), []lifecycle.Topic{lifecycle.TopicAudit}, time.Hour, 100)
		if err != nil {
			t.Fatal(err)
		}
		if len(events) == 0 {
			return messages
		}
		var done []lifecycle.Delivery
		for _, e := range events {
			if e.Kind == kind {
				messages = append(messages, strings.TrimSpace(e.Message))
			}
			done = append(done, lifecycle.Delivery{Seq: e.Seq})
		}
		if err := s.SettleEvents(t.Context(), time.Now(), done); err != nil {
			t.Fatal(err)
		}
	}
}
