// Package storetest is the conformance suite of the stores: what the contracts of the engines say,
// checked. [Run] checks a whole [store.Store], [Lifecycle], [Jobs] and [Members] what one engine needs, which is what a host runs on
// tables of its own:
//
//	func TestConformance(t *testing.T) {
//		storetest.Lifecycle(t, func(t *testing.T) storetest.LifecycleStore { return myStore(t) }, storetest.Options{})
//	}
//
// Each failure says which rule is broken. Abilities that a store does not have are skipped by name. Run it with -race. It
// imports nothing but the standard library and what the engines import.
package storetest

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/store"
)

// Options say how hard the races are. The zero value suits every store.
type Options struct {
	// Goroutines is how many write at once in the races. Defaults to 8.
	Goroutines int
	// Unregister deletes the record of a process of the job queue behind the store's back, as a partial restore leaves it.
	// Nil: the suite does not test that.
	Unregister func(t *testing.T, s queue.Store, process uuid.UUID)
	// Garble makes unreadable what a process has said of its workers, and the tags of one tag set, as a later version might
	// write them. Nil: the suite does not test that.
	Garble func(t *testing.T, s queue.Store, process uuid.UUID, tags queue.TagSet)
	// Corrupt writes a value behind the store's back, as somebody might in SQL: the "policy" or "state" of a template, the
	// "autostart", "autostop", "ttl" (in nanoseconds) or "hold rules" of a workspace, the "quiet hours" of an owner, or the state of
	// the "engine", whatever the id. Nil: the suite does not test that.
	Corrupt func(t *testing.T, s LifecycleStore, what string, id uuid.UUID, value string)
	// Dump is all that is stored, as text, past what the store shows. Nil: that a person was forgotten is judged by what it shows.
	Dump func(t *testing.T, s store.Store) string
	// Like makes an empty store whose answers the store's are compared with over random histories of calls, such as memory.New. Nil: they
	// are not compared.
	Like func() store.Store
	// Seed is that of these histories.
	Seed uint64
	// Deadline is how long one test of the suite may take: a store that hangs is a failure, with the stacks of all
	// goroutines, and not the end of patience. Defaults to 2 minutes.
	Deadline time.Duration
	// Rounds is how often each of them does in the races of [Lifecycle]. Defaults to 25.
	Rounds int
}

func (o Options) withDefaults() Options {
	if o.Goroutines == 0 {
		o.Goroutines = 8
	}
	if o.Deadline == 0 {
		o.Deadline = 2 * time.Minute
	}
	if o.Rounds == 0 {
		o.Rounds = 25
	}
	return o
}

// Run checks everything. open returns a store that is empty and migrated, a new one at each call.
func Run(t *testing.T, open func(*testing.T) store.Store, o Options) {
	t.Run("lifecycle", func(t *testing.T) {
		Lifecycle(t, func(t *testing.T) LifecycleStore { return open(t) }, o)
	})
	t.Run("jobs", func(t *testing.T) {
		Jobs(t, func(t *testing.T) queue.Store { return open(t) }, o)
	})
	t.Run("members", func(t *testing.T) {
		Members(t, func(t *testing.T) prewarm.Store { return open(t) })
	})
	t.Run("union", func(t *testing.T) { union(t, open, o) })
	t.Run("alike", func(t *testing.T) { Alike(t, open, o) })
}

// within runs a test of the suite, which fails if it is not over by its deadline: a broken rule, like others, that the store
// answers.
func within(t *testing.T, o Options, test func(t *testing.T)) {
	t.Helper()
	late := time.AfterFunc(o.Deadline, func() {
		stacks := make([]byte, 1<<20)
		panic(fmt.Sprintf("broken rule: a store answers; %s was not over after %v\n%s", t.Name(), o.Deadline, stacks[:runtime.Stack(stacks, true)]))
	})
	defer late.Stop()
	test(t)
}
