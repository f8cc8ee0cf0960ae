package sqlite

import (
	"context"
	"time"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/prewarm/workspaces"
	"github.com/dormouse-go/dormouse/store/form"
)

// CommitMembers implements [workspaces.Committer].
func (s *Store) CommitMembers(ctx context.Context, now time.Time, changes []lifecycle.Change, members []prewarm.Member) ([]lifecycle.Outcome, error) {
	if err := workspaces.Paired(changes, members); err != nil {
		return nil, err
	}
	return s.commitBatch(ctx, now, changes, members)
}

// claim looks at what a claim depends on beyond other changes, and writes the member that comes with a change. It runs
// before the rest of the change is written, and looks at the revision itself.
func (b *batch) claim(t *tx, i int) error {
	c := &b.changes[i]
	if b.members == nil && !c.Claims {
		return nil
	}
	var revision int64
	found, err := t.queryRow(`
		SELECT w.revision + o.revision + t.revision
		FROM {workspaces} w CROSS JOIN {owners} o ON o.id = w.owner_id CROSS JOIN {templates} t ON t.id = w.template_id
		WHERE w.id = ?`, []any{blob(c.Workspace.ID)}, &revision)
	if err != nil {
		return err
	}
	if !found || revision != c.Revision {
		b.outcomes[i] = lifecycle.Conflict
		return nil
	}
	if c.Claims {
		if err := b.claimable(t, i); err != nil || b.outcomes[i] != lifecycle.Applied {
			return err
		}
	}
	if b.members == nil {
		return nil
	}
	written, err := t.putMember(&b.members[i])
	if err == nil && !written {
		b.outcomes[i] = lifecycle.Conflict
	}
	return err
}

func (b *batch) claimable(t *tx, i int) error {
	w := &b.changes[i].Workspace
	var status lifecycle.OwnerStatus
	var rules int64
	known, err := t.queryRow(`SELECT status, rules FROM {owners} WHERE id = ?`, []any{blob(w.OwnerID)}, &status, &rules)
	switch {
	case err != nil:
		return err
	case !known:
		return invalid.New("Workspace.OwnerID", w.OwnerID, "is unknown")
	case status == lifecycle.OwnerSuspended || rules != w.Seen.Owner:
		b.outcomes[i] = lifecycle.Conflict
		return nil
	}
	taken, err := t.queryRow(`SELECT 1 FROM {workspaces} WHERE owner_id = ? AND name = ? AND id <> ? AND NOT deleted LIMIT 1`,
		[]any{blob(w.OwnerID), form.Text(w.Name), blob(w.ID)}, new(int))
	if taken {
		b.outcomes[i] = lifecycle.NameTaken
	}
	return err
}

// handOver writes the owner and the name of a workspace after the rest of its change. The revision of the row makes up for
// the owner's, so that the sum is what it was.
const handOver = `
UPDATE {workspaces} SET name = ?1, owner_id = ?2, revision = revision
	+ (SELECT revision FROM {owners} o WHERE o.id = owner_id) - (SELECT revision FROM {owners} o WHERE o.id = ?2)
WHERE id = ?3`

func (t *tx) handOver(w *workspace) error {
	return t.execOne(handOver, form.Text(w.Name), blob(w.OwnerID), blob(w.ID))
}
