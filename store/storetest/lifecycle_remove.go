package storetest

import (
	"errors"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
)

func testRemove(f *fixture) {
	r := skipUnless[lifecycle.Remover](f)
	s := f.create(1)[0]
	f.rule(errors.Is(r.DeleteTemplate(f.ctx, f.template.ID), lifecycle.ErrInUse), "a template with workspaces is not deleted")
	f.rule(errors.Is(r.DeleteOwner(f.ctx, f.owner.ID), lifecycle.ErrInUse), "an owner with workspaces is not deleted")
	f.rule(f.load(s.Workspace.ID).Template.Name == f.template.Name, "a refused deletion has no effect")

	other, nobody := f.template, lifecycle.Owner{ID: uuid.New(), Name: "bob"}
	other.ID, other.Revision = uuid.New(), 0
	for round := range 2 { // what comes again under its id is new
		other.Revision, other.Name = 0, []string{"first", "second"}[round]
		f.must(f.s.PutTemplate(f.ctx, epoch, other))
		f.must(f.s.PutOwner(f.ctx, epoch, nobody))
		w := f.workspace()
		w.TemplateID, w.OwnerID = other.ID, nobody.ID
		if round == 1 {
			f.must(f.s.CreateWorkspaces(f.ctx, epoch, w))
			f.rule(f.load(w.ID).Template.Name == "second", "a template that was deleted and made again is the new one: got %q", f.load(w.ID).Template.Name)
			return
		}
		f.must(r.DeleteTemplate(f.ctx, other.ID))
		f.must(r.DeleteOwner(f.ctx, nobody.ID))
		f.rule(f.s.CreateWorkspaces(f.ctx, epoch, w) != nil, "what was deleted is unknown")
		f.must(r.DeleteTemplate(f.ctx, other.ID))
		f.must(r.DeleteOwner(f.ctx, nobody.ID))
	}
}
