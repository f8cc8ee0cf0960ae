package dormousetest

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store"
)

// HostTx is a transaction of the host, for [OneCommit].
type HostTx struct {
	// Store is the store within it.
	Store store.Tx
	// Insert writes a row of the host's own about a workspace. A place that has one already is an error, after which the
	// transaction may go on.
	Insert           func(workspace uuid.UUID, place string) error
	Commit, Rollback func() error
}

// OneCommit checks, on an empty and migrated store, that a row of the host and what a plane does in the same transaction are one
// commit or none, and that what is committed starts at once. It runs in real time: a database is outside of every bubble.
func OneCommit(t *testing.T, s store.Store, begin func() HostTx) {
	t.Helper()
	built := make(chan uuid.UUID, 10)
	plane, err := dormouse.New(s, dormouse.Config{
		Build: func(_ context.Context, b *dormouse.Build) error { built <- b.Workspace.ID; return nil },
		// Nobody looks: what begins was announced.
		TuneAcquirer: func(c *acquirer.Config) { c.Backup, c.Poll = time.Hour, time.Hour },
	})
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- plane.Run(ctx) }()
	defer func() { cancel(); must(t, <-ran) }()
	template, err := plane.PutTemplate(ctx, dormouse.Template{Name: "go-dev"})
	must(t, err)
	h := host{t: t, plane: plane, template: template.ID, begin: begin}

	gone := h.desk(ctx, "window", false)
	kept := h.desk(ctx, "window", true)
	refused := h.desk(ctx, "window", true) // the row of the host is refused
	select {
	case id := <-built:
		if id != kept {
			t.Errorf("built %s, want %s", id, kept)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("what was committed did not start")
	}
	for _, id := range []uuid.UUID{gone, refused} {
		if _, err := plane.Get(ctx, id); err == nil {
			t.Errorf("workspace %s is there without its row", id)
		}
	}
	if owners, err := plane.Owners(ctx, uuid.Nil, 0); err != nil || len(owners) != 1 {
		t.Errorf("owners %v, %v", owners, err)
	}
	if len(built) > 0 {
		t.Error("something was built that was rolled back")
	}
}

// host is a program with a table of its own.
type host struct {
	t        *testing.T
	plane    *dormouse.Plane
	template uuid.UUID
	begin    func() HostTx
}

// desk makes and starts a workspace together with a row of the host, and rolls both back if it is to, or the row is refused.
func (h host) desk(ctx context.Context, place string, commit bool) uuid.UUID {
	h.t.Helper()
	tx := h.begin()
	in, err := h.plane.WithTx(tx.Store)
	must(h.t, err)
	w, err := in.Create(ctx, dormouse.NewWorkspace{Template: h.template, Owner: place, Name: place})
	must(h.t, err)
	failed := tx.Insert(w.ID, place)
	w, err = in.Start(ctx, w.ID, dormouse.By("ann"))
	must(h.t, err)
	if w.Status != lifecycle.StatusStarting {
		h.t.Errorf("within the transaction it is %v", w.Status)
	}
	if !commit || failed != nil {
		must(h.t, tx.Rollback())
		return w.ID
	}
	must(h.t, tx.Commit())
	in.Committed()
	return w.ID
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
