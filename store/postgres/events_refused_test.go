package postgres_test

import (
	"testing"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// A write whose event cannot be written is refused as a whole, whichever it is.
func TestEventsThatCannotBeWritten(t *testing.T) {
	s, pool := open(t)
	f := newFleet(t, s, 2)
	read := dump(pool)
	bad := lifecycle.Event{Topic: 99, Kind: lifecycle.EventChanged, At: epoch}
	w := s.Recording(bad)
	two := load(t, s, f.ids...)
	plain, claim := wakeAt(two[0], epoch), wakeAt(two[1], epoch)
	plain.Events, claim.Events = []lifecycle.Event{bad}, []lifecycle.Event{bad}
	claim.Claims, claim.Workspace.Name = true, "other"
	f.template.Revision, f.template.Name, f.owner.Name = 1, "renamed", "bob"
	workspace := two[0].Workspace
	workspace.ID, workspace.Name = f.owner.ID, "third"
	before := read(t, s)
	for what, call := range map[string]func() error{
		"PutTemplate":      func() error { return w.PutTemplate(t.Context(), epoch, f.template) },
		"PutOwner":         func() error { return w.PutOwner(t.Context(), epoch, f.owner) },
		"PutEngine":        func() error { return w.PutEngine(t.Context(), epoch, lifecycle.Engine{}) },
		"CreateWorkspaces": func() error { return w.CreateWorkspaces(t.Context(), epoch, workspace) },
		"Commit":           func() error { _, err := s.Commit(t.Context(), epoch, []lifecycle.Change{plain}); return err },
		"Commit of a claim": func() error {
			_, err := s.Commit(t.Context(), epoch, []lifecycle.Change{claim})
			return err
		},
	} {
		if err := call(); err == nil {
			t.Errorf("%s: no error", what)
		}
		if after := read(t, s); after != before {
			t.Errorf("%s: it has an effect:\n%s\nwas\n%s", what, after, before)
		}
	}
}
