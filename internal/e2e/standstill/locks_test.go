package standstill_test

import (
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle/executor"
)

// TestALockedRowThatIsNoWorkspaces: what a tick notes of itself, and what belongs to an owner, a template or a tenant, keeps
// no workspace waiting.
func TestALockedRowThatIsNoWorkspaces(t *testing.T) {
	for _, table := range []string{"replicas", "ticks", "engine", "turns", "claimed", "owners", "templates", "marks", "zones", "deletions", "processes"} {
		t.Run(table, func(t *testing.T) {
			t.Parallel()
			f := &fleet{T: t, kind: "postgres", now: time.Now().UTC().Truncate(time.Minute)}
			f.open()
			f.fill()
			workspace := f.lock(`SELECT FROM dormouse.workspaces WHERE id = $1 FOR UPDATE`, f.culprit())
			defer workspace()
			var release func()
			between := func() {
				time.Sleep(1100 * time.Millisecond) // the pause before the workspace is tried again
				release = f.lock(`SELECT FROM dormouse.` + table + ` FOR UPDATE`)
				workspace()
			}
			f.run(executor.Config{Settle: time.Hour}, between, wanted{done: 300})
			release()
		})
	}
}

// TestALockedRowUnderALimit: where places are limited, a locked row keeps none from one that is free at the next tick.
func TestALockedRowUnderALimit(t *testing.T) {
	t.Parallel()
	f := &fleet{T: t, kind: "postgres", now: time.Now().UTC().Truncate(time.Minute)}
	f.open()
	f.fill()
	release := f.lock(`SELECT FROM dormouse.workspaces WHERE id = $1 FOR UPDATE`, f.culprit())
	defer release()
	f.run(executor.Config{MaxTransitions: fleetSize / 2}, nil, wanted{done: 299, quiet: true})
}
