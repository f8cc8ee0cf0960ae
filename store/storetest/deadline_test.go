package storetest_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store/memory"
	"github.com/dormouse-go/dormouse/store/storetest"
)

// mute never answers what it is asked for workspaces.
type mute struct{ *memory.Store }

func (mute) Load(context.Context, ...uuid.UUID) ([]lifecycle.Snapshot, error) { select {} }

// A store that hangs fails the suite by its deadline, with the name of the rule and of the test and the stacks of all. The suite
// ends the whole program then, so it runs in one of its own.
func TestDeadline(t *testing.T) {
	const hanging = "STORETEST_HANGING"
	if os.Getenv(hanging) != "" {
		storetest.Lifecycle(t, func(*testing.T) storetest.LifecycleStore { return mute{memory.New()} },
			storetest.Options{Deadline: 100 * time.Millisecond})
		return
	}
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	program := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestDeadline$")
	program.Env = append(os.Environ(), hanging+"=1")
	out, err := program.CombinedOutput()
	if err == nil || ctx.Err() != nil {
		t.Fatalf("a suite over a store that hangs ended with %v (%v):\n%s", err, ctx.Err(), out)
	}
	for _, want := range []string{"broken rule: a store answers", "TestDeadline/", "was not over after 100ms", "mute.Load"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the failure does not say %q:\n%.2000s", want, out)
		}
	}
}
