package executor_test

import (
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/internal/snapshots"
)

// The workspaces that tests are made of; see package snapshots.
type edit = snapshots.Edit

const (
	us  = snapshots.Tick
	day = snapshots.Day
)

var (
	monday, oldVersion, activeVersion = snapshots.Monday, snapshots.OldVersion, snapshots.ActiveVersion

	id           = snapshots.ID
	with         = snapshots.With
	set          = snapshots.Set
	newWorkspace = snapshots.New
	built        = snapshots.Built
	running      = snapshots.Running
	stopped      = snapshots.Stopped
	policy       = snapshots.Policy
	workspace    = snapshots.Workspace
	build        = snapshots.Build
	deadline     = snapshots.Deadline
	asleep       = snapshots.Asleep
	autostart    = snapshots.Autostart
	unusable     = snapshots.Unusable
)

func tilDormant(d time.Duration) edit {
	return policy(func(p *lifecycle.Policy) { p.TimeTilDormant = d })
}
