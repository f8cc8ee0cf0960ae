package postgres_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// A transaction of the host that gives a tenant its first number, and stays open, keeps nobody's commit waiting: neither that of
// the tenant's own workspace nor those of others in the batch. Their jobs are queued.
func TestCommitBesideAFirstTurn(t *testing.T) {
	s, pool := open(t)
	f := newFleet(t, s, 2)
	other := lifecycle.Owner{ID: uuid.New(), Name: "bob"}
	must(t, s.PutOwner(t.Context(), epoch, other))
	theirs := uuid.New()
	must(t, s.CreateWorkspaces(t.Context(), epoch, lifecycle.Workspace{
		ID: theirs, OrganizationID: f.template.OrganizationID, OwnerID: other.ID, TemplateID: f.template.ID, Name: "w", CreatedAt: epoch,
	}))
	var changes []lifecycle.Change
	for _, w := range load(t, s, f.ids[0], f.ids[1], theirs) {
		changes = append(changes, started(t, w))
	}
	post := func(to acquirer.Enqueuer, org uuid.UUID) {
		t.Helper()
		_, err := to.Enqueue(t.Context(), epoch, []queue.Posting{{ID: uuid.New(), Organization: org, Tenant: f.owner.ID, Type: "build"}})
		must(t, err)
	}
	post(s, uuid.New()) // the tag set is there
	tx, err := pool.Begin(t.Context())
	must(t, err)
	t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	post(s.WithTx(tx), f.template.OrganizationID)
	outcomes, err := s.Commit(soon(t), epoch, changes[:1])
	must(t, err)
	rest, err := s.Commit(soon(t), epoch, changes[1:])
	must(t, err)
	for i, o := range append(outcomes, rest...) {
		if o != lifecycle.Applied {
			t.Errorf("change %d: %v", i, o)
		}
	}
	must(t, tx.Commit(t.Context()))
	listing, err := s.Ready(t.Context(), epoch, queue.ReadyQuery{CountTo: 10})
	must(t, err)
	n := 0
	for _, l := range listing.Lanes {
		n += l.Count
	}
	if n != 5 {
		t.Errorf("%d jobs are ready, want 5: %+v", n, listing.Lanes)
	}
}

// A tag set that a transaction of the host has brought, and holds, costs the workspaces that need it, by name.
func TestCommitBesideANewTagSet(t *testing.T) {
	s, pool := open(t)
	f := newFleet(t, s, 2)
	tags := map[string]string{"gpu": "yes"}
	tx, err := pool.Begin(t.Context())
	must(t, err)
	t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	_, err = s.WithTx(tx).Enqueue(t.Context(), epoch, []queue.Posting{{ID: uuid.New(), Organization: uuid.New(), Type: "build", Tags: tags}})
	must(t, err)
	all := load(t, s, f.ids...)
	free, needs := started(t, all[0]), started(t, all[1])
	needs.Job.Tags = tags
	_, err = s.Commit(soon(t), epoch, []lifecycle.Change{free, needs})
	var blamed *lifecycle.ChangeError
	if !errors.As(err, &blamed) || blamed.WorkspaceID != needs.Workspace.ID {
		t.Errorf("error %v, want one that blames %s", err, needs.Workspace.ID)
	}
	claimed := needs
	claimed.Claims, claimed.Workspace.Name = true, "claimed"
	_, err = s.Commit(soon(t), epoch, []lifecycle.Change{free, claimed})
	if blamed = nil; !errors.As(err, &blamed) || blamed.WorkspaceID != needs.Workspace.ID {
		t.Errorf("of a claim: error %v, want one that blames %s", err, needs.Workspace.ID)
	}
	outcomes, err := s.Commit(soon(t), epoch, []lifecycle.Change{free})
	must(t, err)
	if outcomes[0] != lifecycle.Applied {
		t.Errorf("the other one: %v", outcomes)
	}
	must(t, tx.Commit(t.Context()))
	outcomes, err = s.Commit(soon(t), epoch, []lifecycle.Change{needs})
	must(t, err)
	if outcomes[0] != lifecycle.Applied {
		t.Errorf("afterwards: %v", outcomes)
	}
}

// What a batch of claims waits for is bounded, and it says what that was.
func TestClaimBesideALockedRow(t *testing.T) {
	s, pool := open(t)
	f := newFleet(t, s, 1)
	c := started(t, load(t, s, f.ids...)[0])
	c.Claims = true
	release := holds(t, pool, `SELECT FROM dormouse.owners WHERE id = $1 FOR UPDATE`, f.owner.ID)
	if outcomes, err := s.Commit(soon(t), epoch, []lifecycle.Change{c}); !errors.Is(err, lifecycle.ErrUnavailable) || !strings.Contains(err.Error(), `relation "owners"`) {
		t.Errorf("outcomes %v, error %v", outcomes, err)
	}
	release()
	outcomes, err := s.Commit(soon(t), epoch, []lifecycle.Change{c})
	must(t, err)
	if outcomes[0] != lifecycle.Applied {
		t.Errorf("afterwards: %v", outcomes)
	}
}

// What concerns all workspaces is asked, and written, beside rows that somebody holds.
func TestDeletionsBesideALockedRow(t *testing.T) {
	s, pool := open(t)
	f := newFleet(t, s, 30)
	admit := func(minute int, id uuid.UUID) int {
		t.Helper()
		admitted, err := s.AdmitDeletions(soon(t), epoch.Add(time.Duration(minute)*time.Minute), lifecycle.Brake{},
			[]lifecycle.DueDeletion{{WorkspaceID: id, TemplateID: f.template.ID}})
		must(t, err)
		return len(admitted)
	}
	if admit(0, f.ids[0]) != 1 {
		t.Fatal("a deletion without a limit in its way was not admitted")
	}
	release := holds(t, pool, `SELECT FROM dormouse.deletions FOR UPDATE`)
	if admit(120, f.ids[1]) != 1 {
		t.Error("an old deletion that somebody holds keeps others waiting")
	}
	if admit(120, f.ids[0]) != 0 {
		t.Error("a deletion goes again although its place cannot be recorded")
	}
	release()
	if admit(121, f.ids[0]) != 1 {
		t.Error("a deletion does not go again once its place can be recorded")
	}
}
