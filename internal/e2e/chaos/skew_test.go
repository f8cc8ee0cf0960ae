package chaos_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/coder/quartz"
	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/e2e/internal/harm"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/schedule"
	"github.com/dormouse-go/dormouse/store"
	"github.com/dormouse-go/dormouse/store/memory"
	"github.com/dormouse-go/dormouse/store/postgres"
	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
)

const (
	// skew is how far apart the clocks of the two nodes are.
	skew = 30 * time.Second
	step = 10 * time.Second
	// late is how late a node may be: a step, and one more for what was left to the other node while that one paused.
	late = 2 * step
	// period is that of all schedules; skewed is a fleet in which every minute of it is somebody's.
	period = 20 * time.Minute
	skewed = 20
)

// TestSkew has two nodes tick one store at the same moments, one of them with a clock that is half a minute ahead. What
// happens may be early by the skew; nothing happens twice, before its time by the clock of whoever does it, or not at all.
func TestSkew(t *testing.T) {
	t.Run("memory", func(t *testing.T) { runSkew(t, memory.New(), 6) })
	t.Run("postgres", func(t *testing.T) {
		s, err := postgres.New(pgtest.Pool(t), postgres.Config{})
		if err != nil {
			t.Fatal(err)
		}
		runSkew(t, s, 1)
	})
}

// node is an executor with a clock of its own.
type node struct {
	name  string
	clock *quartz.Mock
	e     *executor.Executor
	made  int
}

type skewTest struct {
	*testing.T
	s      store.Store
	random *rand.Rand
	nodes  [2]*node // the first one is right about the time
	ids    []uuid.UUID
	minute map[uuid.UUID]int

	mu   sync.Mutex
	told map[string]int // by build, how often its event was delivered
}

// runSkew passes so many periods of the schedules.
func runSkew(t *testing.T, s store.Store, periods int) {
	k := &skewTest{T: t, s: s, random: harm.Random(t), minute: map[uuid.UUID]int{}, told: map[string]int{}}
	k.node(0, "right", worldBegin)
	k.node(1, "ahead", worldBegin.Add(skew))
	k.fill()
	end := worldBegin.Add(time.Duration(periods) * period)
	for k.nodes[0].clock.Now().Before(end.Add(late)) { // some are due at the very end
		k.step()
	}
	for _, id := range k.ids {
		k.checkBuilds(id, periods)
	}
	for _, n := range k.nodes {
		if n.made == 0 {
			t.Errorf("the node that is %s made no transition: nothing is proved", n.name)
		}
	}
}

func (k *skewTest) must(err error) {
	k.Helper()
	if err != nil {
		k.Fatal(err)
	}
}

func (k *skewTest) node(i int, name string, now time.Time) {
	n := &node{name: name, clock: quartz.NewMock(k).WithLogger(quartz.NoOpLogger)}
	n.clock.Set(now)
	var err error
	n.e, err = executor.New(k.s, executor.Config{
		Clock: n.clock, Logger: slog.New(slog.DiscardHandler), Interval: step, BatchSize: 4, PageSize: 7, Auditor: k.deliver,
	})
	k.must(err)
	k.nodes[i] = n
}

func (k *skewTest) deliver(_ context.Context, e lifecycle.Event) error {
	if e.Kind == lifecycle.EventBuildQueued {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.told[fmt.Sprint(e.WorkspaceID, e.BuildNumber)]++
	}
	return nil
}

// fill makes workspaces that start three times an hour, each at a minute of its own, and stop five minutes later.
func (k *skewTest) fill() {
	ctx := k.Context()
	t := lifecycle.Template{ID: harm.ID(k.random), OrganizationID: harm.ID(k.random), ActiveVersionID: harm.ID(k.random), Policy: lifecycle.Policy{
		DefaultTTL: 5 * time.Minute, AutostartDays: schedule.AllDays, AllowUserAutostart: true,
	}}
	k.must(k.s.PutTemplate(ctx, worldBegin, t))
	owner := lifecycle.Owner{ID: harm.ID(k.random)}
	k.must(k.s.PutOwner(ctx, worldBegin, owner))
	for i := range skewed {
		cron, err := schedule.Weekly(fmt.Sprintf("CRON_TZ=UTC %d,%d,%d * * * *", i, i+20, i+40))
		k.must(err)
		w := lifecycle.NewWorkspace(harm.ID(k.random), t, owner.ID, fmt.Sprint(i), worldBegin)
		w.Autostart = cron
		k.must(k.s.CreateWorkspaces(ctx, worldBegin, w))
		k.ids, k.minute[w.ID] = append(k.ids, w.ID), i
		_, err = k.nodes[0].e.Update(ctx, w.ID, lifecycle.RequestBuild(lifecycle.TransitionStop, uuid.Nil))
		k.must(err)
		k.end(k.nodes[0], w.ID, k.load(w.ID).Build.ID)
	}
}

// step lets a moment pass, has both nodes tick at once, or only the one that is right, and ends the jobs of what was begun on any
// node. The right one is alone until it has made a transition, and now and then after that: beside the other it is always too late.
func (k *skewTest) step() {
	ticking := k.nodes[:]
	if k.nodes[0].made == 0 || k.random.IntN(4) == 0 {
		ticking = k.nodes[:1]
	}
	// A pause of the one ahead has to be longer than the skew for the other to find anything.
	pause := 1
	if len(ticking) == 1 {
		pause = int(skew/step) + 1
	}
	for range pause {
		k.pass()
		k.tick(ticking)
	}
}

func (k *skewTest) pass() {
	for _, n := range k.nodes {
		n.clock.Advance(step)
	}
}

func (k *skewTest) tick(ticking []*node) {
	stats := make([]executor.Stats, len(ticking))
	var g sync.WaitGroup
	for i, n := range ticking {
		g.Go(func() { stats[i] = n.e.Tick(k.Context(), n.clock.Now()) })
	}
	g.Wait()
	seen := map[uuid.UUID]string{}
	for i, s := range stats {
		k.must(s.Err)
		n := ticking[i]
		n.made += len(s.Transitions)
		for id, err := range s.Errors {
			k.Errorf("%s: workspace %s: %v", n.name, id, err)
		}
		for _, id := range k.ids { // in their order, so that a seed means the same each time
			if _, made := s.Transitions[id]; !made {
				continue
			}
			if other, twice := seen[id]; twice {
				k.Errorf("workspace %s: %s and %s both made a transition at one moment", id, other, n.name)
			}
			seen[id] = n.name
			k.checkDue(n, id)
			k.end(k.nodes[k.random.IntN(2)], id, k.load(id).Build.ID)
		}
	}
	for _, n := range ticking {
		_, err := n.e.Relay(k.Context())
		k.must(err)
	}
}

func (k *skewTest) end(n *node, id, build uuid.UUID) {
	_, err := n.e.Update(k.Context(), id, lifecycle.JobEnded(lifecycle.JobResult{BuildID: build, Status: lifecycle.JobSucceeded}))
	k.must(err)
}

func (k *skewTest) load(id uuid.UUID) lifecycle.Snapshot {
	found, err := k.s.Load(k.Context(), id)
	k.must(err)
	return found[0]
}

// checkDue holds the newest build against the one before it: due by the clock of the node that made it, and by the right
// time at most the skew too early, and not later than without a skew.
func (k *skewTest) checkDue(n *node, id uuid.UUID) {
	builds, err := k.s.Builds(k.Context(), id, 0, 2)
	k.must(err)
	b, before := builds[0], builds[1]
	due := before.Deadline
	if b.Transition == lifecycle.TransitionStart {
		due = k.occurrence(id, before.CreatedAt)
	}
	if mine := n.clock.Now(); due.IsZero() || mine.Before(due) {
		k.Errorf("%s made a %s of %s at %v of its clock, due %v", n.name, b.Transition, id, mine, due)
	}
	if behind := k.nodes[0].clock.Now().Sub(due); behind < -skew || behind >= late {
		k.Errorf("%s made a %s of %s %v after it was due: want between %v before and %v after", n.name, b.Transition, id, behind, skew, late)
	}
}

// occurrence is the first time of the workspace's schedule after an instant, computed without the library.
func (k *skewTest) occurrence(id uuid.UUID, after time.Time) time.Time {
	const seconds = int64(period / time.Second)
	offset := int64(60 * k.minute[id])
	return time.Unix(((after.Unix()-offset)/seconds+1)*seconds+offset, 0).UTC()
}

// checkBuilds sees that the builds of a workspace alternate, without a gap, that none is missing, and that each was told of.
func (k *skewTest) checkBuilds(id uuid.UUID, periods int) {
	builds, err := k.s.Builds(k.Context(), id, 0, 1000)
	k.must(err)
	// The stop at the beginning, then a start and a stop in each period; the last stop may be after the end.
	if want := 2 * periods; len(builds) < want {
		k.Errorf("workspace %s has %d builds: want at least %d", id, len(builds), want)
	}
	for i, b := range builds {
		number := int64(len(builds) - i)
		if b.Number != number {
			k.Errorf("workspace %s: build %d where %d belongs", id, b.Number, number)
		}
		if i > 0 && b.Transition == builds[i-1].Transition {
			k.Errorf("workspace %s: builds %d and %d are both a %s", id, b.Number, b.Number+1, b.Transition)
		}
		if told := k.told[fmt.Sprint(id, b.Number)]; told != 1 {
			k.Errorf("workspace %s: the event of build %d was delivered %d times", id, b.Number, told)
		}
	}
}
