package dormouse_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store/memory"
)

// A person whose workspaces are deleted is forgotten; where she acted for others, a pseudonym stands.
func TestForget(t *testing.T) {
	bubble(t, func(cfg *dormouse.Config) { cfg.Organization = uuid.New() }, func(f *fixture) {
		ctx := f.t.Context()
		hers := f.create("box")
		theirs, err := f.Create(ctx, dormouse.NewWorkspace{Template: f.template.ID, Owner: "bob", Name: "bobs"})
		f.must(err)
		_, err = f.Start(ctx, theirs.ID, dormouse.By("ann@example.com"), dormouse.Note("ann starts it"))
		f.must(err)
		_, err = f.Hold(ctx, theirs.ID, lifecycle.Hold{Rules: lifecycle.HoldAll, Until: time.Now().Add(24 * time.Hour)}, dormouse.By("ann"), dormouse.Note("ann holds it"))
		f.must(err)
		_, err = f.Start(ctx, hers.ID)
		f.must(err)
		f.wait(2 * time.Minute)
		ann := dormouse.Owner{Name: "ann"}
		if err := f.Forget(ctx, ann); !errors.Is(err, lifecycle.ErrInUse) {
			t.Fatalf("with a workspace: %v", err)
		}
		_, err = f.Delete(ctx, hers.ID)
		f.must(err)
		f.wait(2 * time.Minute)
		f.must(f.Forget(ctx, ann, "ann@example.com"))

		var stored strings.Builder
		f.must(f.store.(*memory.Store).Dump(&stored))
		if text := stored.String(); strings.Contains(text, "ann") || strings.Contains(text, hers.ID.String()) {
			t.Errorf("what is stored still speaks of her:\n%s", text)
		}
		got, err := f.Get(ctx, theirs.ID)
		f.must(err)
		if _, err := uuid.Parse(got.Hold.By); err != nil || got.Hold.Note != "" {
			t.Errorf("her hold is by %q with note %q, want a pseudonym without", got.Hold.By, got.Hold.Note)
		}
		if _, err := f.Get(ctx, hers.ID); !errors.Is(err, lifecycle.ErrNotFound) {
			t.Errorf("her deleted workspace: %v", err)
		}
		if again := f.create("new"); again.ID == hers.ID {
			t.Error("somebody of her name has her workspace")
		}
	})
}
