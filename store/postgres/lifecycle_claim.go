package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/prewarm/workspaces"
	"github.com/dormouse-go/dormouse/store/form"
)

// CommitMembers implements [workspaces.Committer]. Where a constraint or a trigger of the host refuses a change or its member, the error is a
// [lifecycle.ChangeError].
func (s *Store) CommitMembers(ctx context.Context, now time.Time, changes []lifecycle.Change, members []prewarm.Member) ([]lifecycle.Outcome, error) {
	if err := workspaces.Paired(changes, members); err != nil {
		return nil, err
	}
	return s.commit(ctx, now, changes, members)
}

func claims(changes []lifecycle.Change) bool {
	return slices.ContainsFunc(changes, func(c lifecycle.Change) bool { return c.Claims })
}

// tryClaims is one attempt at a batch in which workspaces change hands or members are written: a transaction that locks what
// they depend on (owners, members, workspaces, each in the order of ids), sorts out what does not hold, and then writes the
// rest with the statement of every batch. The locks on owners make claims of one owner follow each other, so that no two
// get one name, and keep the owner as the claim saw it. It waits no longer for a row than this library ever holds one.
func (s *Store) tryClaims(ctx context.Context, now time.Time, changes []lifecycle.Change, members []prewarm.Member, commit string) (outcomes []lifecycle.Outcome, err error) {
	err = pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		if err := s.boundWaits(ctx, tx); err != nil {
			return err
		}
		outcomes, err = s.writeClaims(ctx, tx, now, changes, members, commit)
		return err
	})
	return outcomes, err
}

func (s *Store) writeClaims(
	ctx context.Context, tx pgx.Tx, now time.Time, changes []lifecycle.Change, members []prewarm.Member, commit string,
) ([]lifecycle.Outcome, error) {
	c := claimBatch{s: s, tx: tx, changes: changes, members: members, commit: commit, outcomes: make([]lifecycle.Outcome, len(changes))}
	if err := c.lock(ctx); err != nil {
		return nil, err
	}
	return c.outcomes, c.write(ctx, now)
}

// blameChange names the change that is refused, with its member, if one is. A single one that was canceled is not to blame for sure: the server
// may be slow, and pools destroy a member whose change is.
func (s *Store) blameChange(ctx context.Context, now time.Time, changes []lifecycle.Change, members []prewarm.Member, refusal error) error {
	if !refusesRow(refusal) || len(changes) == 1 && canceled(refusal) {
		return refusal
	}
	at, why := findRefused(refusal, len(changes), func(from, to int) error {
		return s.takenBack(ctx, func(tx pgx.Tx) error {
			_, err := s.writeClaims(ctx, tx, now, changes[from:to], members[from:to], commitSQL)
			return err
		})
	})
	if at < 0 {
		return refusal
	}
	return &lifecycle.ChangeError{WorkspaceID: changes[at].Workspace.ID, Err: why}
}

// canceled reports whether the server has ended a statement, as by statement_timeout.
func canceled(err error) bool {
	const queryCanceled = "57014"
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == queryCanceled
}

// claimBatch is a batch of claims on its way. Outcomes are Applied until something speaks against it.
type claimBatch struct {
	s        *Store
	tx       pgx.Tx
	changes  []lifecycle.Change
	members  []prewarm.Member // one for each change, or nil
	commit   string           // the statement that writes them
	outcomes []lifecycle.Outcome
}

const (
	lockOwnersSQL = `
		SELECT id, status, rules FROM dormouse.owners WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE`
	lockMembersSQL = `
		SELECT id, revision FROM dormouse.members WHERE id = ANY ($1) ORDER BY id FOR UPDATE`
	lockWorkspacesSQL = `
		SELECT id, revision FROM dormouse.workspaces WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE`
	// takenNamesSQL runs after the owners are locked, and sees what earlier claims have written.
	takenNamesSQL = `
		SELECT c.n FROM unnest($1::uuid[], $2::uuid[], $3::text[]) WITH ORDINALITY AS c (id, owner_id, name, n)
		WHERE EXISTS (
			SELECT FROM dormouse.workspace_keys k WHERE k.owner_id = c.owner_id AND k.name = c.name AND k.id <> c.id AND ` + keptKey + `)`
	handOverSQL = `
		UPDATE dormouse.workspaces w SET owner_id = c.owner_id, name = c.name
		FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS c (id, owner_id, name) WHERE w.id = c.id`
)

// lockedOwner is what a claim depends on.
type lockedOwner struct {
	status int16
	rules  int64
}

// lock locks everything, and notes what is not as the changes want it.
func (c *claimBatch) lock(ctx context.Context) error {
	owners, err := c.lockOwners(ctx)
	if err != nil {
		return err
	}
	if err := c.lockRows(ctx, lockMembersSQL, len(c.members), func(i int) (uuid.UUID, int64) {
		return c.members[i].ID, c.members[i].Revision
	}); err != nil {
		return err
	}
	if err := c.lockRows(ctx, lockWorkspacesSQL, len(c.changes), func(i int) (uuid.UUID, int64) {
		return c.changes[i].Workspace.ID, cmp.Or(c.changes[i].Revision, -1) // what is not there has revision 0 below
	}); err != nil {
		return err
	}
	return c.sortOut(ctx, owners)
}

func (c *claimBatch) lockOwners(ctx context.Context) (map[uuid.UUID]lockedOwner, error) {
	var wanted []uuid.UUID
	for i := range c.changes {
		if c.changes[i].Claims {
			wanted = append(wanted, c.changes[i].Workspace.OwnerID)
		}
	}
	rows, _ := c.tx.Query(ctx, c.s.sql(lockOwnersSQL), keys(wanted))
	owners := make(map[uuid.UUID]lockedOwner, len(wanted))
	var id uuid.UUID
	var o lockedOwner
	_, err := pgx.ForEachRow(rows, []any{toID(&id), &o.status, &o.rules}, func() error {
		owners[id] = o
		return nil
	})
	return owners, err
}

// lockRows locks the rows of n changes; those that have another revision are conflicts.
func (c *claimBatch) lockRows(ctx context.Context, text string, n int, of func(int) (uuid.UUID, int64)) error {
	ids := make([]uuid.UUID, n)
	for i := range ids {
		ids[i], _ = of(i)
	}
	rows, _ := c.tx.Query(ctx, c.s.sql(text), keys(ids))
	found := make(map[uuid.UUID]int64, n)
	var id uuid.UUID
	var revision int64
	_, err := pgx.ForEachRow(rows, []any{toID(&id), &revision}, func() error {
		found[id] = revision
		return nil
	})
	for i := range ids {
		if id, want := of(i); found[id] != want {
			c.outcomes[i] = lifecycle.Conflict
		}
	}
	return err
}

// sortOut looks at owners and names of the claims that are current.
func (c *claimBatch) sortOut(ctx context.Context, owners map[uuid.UUID]lockedOwner) error {
	for i := range c.changes {
		w := &c.changes[i].Workspace
		if !c.changes[i].Claims || c.outcomes[i] != lifecycle.Applied {
			continue
		}
		o, known := owners[w.OwnerID]
		if !known {
			return &lifecycle.ChangeError{WorkspaceID: w.ID, Err: invalid.New("Workspace.OwnerID", w.OwnerID, "is unknown")}
		}
		if lifecycle.OwnerStatus(o.status) == lifecycle.OwnerSuspended || o.rules != w.Seen.Owner {
			c.outcomes[i] = lifecycle.Conflict
		}
	}
	return c.takeNames(ctx)
}

type ownedName struct {
	owner uuid.UUID
	name  string
}

func (c *claimBatch) takeNames(ctx context.Context) error {
	current := c.current(func(change *lifecycle.Change) bool { return change.Claims })
	rows, _ := c.tx.Query(ctx, c.s.sql(takenNamesSQL), c.names(current)...)
	var n int
	if _, err := pgx.ForEachRow(rows, []any{&n}, func() error { c.outcomes[current[n-1]] = lifecycle.NameTaken; return nil }); err != nil {
		return err
	}
	taken := make(map[ownedName]bool, len(current))
	for _, i := range current {
		w := &c.changes[i].Workspace
		name := ownedName{w.OwnerID, form.Text(w.Name)}
		if c.outcomes[i] == lifecycle.Applied && taken[name] {
			c.outcomes[i] = lifecycle.NameTaken
		}
		taken[name] = taken[name] || c.outcomes[i] == lifecycle.Applied
	}
	return nil
}

// current are the changes that nothing speaks against so far, and that a condition holds for.
func (c *claimBatch) current(want func(*lifecycle.Change) bool) (found []int) {
	for i := range c.changes {
		if c.outcomes[i] == lifecycle.Applied && want(&c.changes[i]) {
			found = append(found, i)
		}
	}
	return found
}

// names are the parameters for the names of changes.
func (c *claimBatch) names(of []int) []any {
	ids, owners, names := make([]uuid.UUID, len(of)), make([]uuid.UUID, len(of)), make([]string, len(of))
	for k, i := range of {
		w := &c.changes[i].Workspace
		ids[k], owners[k], names[k] = w.ID, w.OwnerID, form.Text(w.Name)
	}
	return []any{keys(ids), keys(owners), names}
}

// write writes what is left: the members, of which one whose key is known stays as it is, the changes, and who has what.
func (c *claimBatch) write(ctx context.Context, now time.Time) error {
	if err := c.writeMembers(ctx); err != nil {
		return err
	}
	left := c.current(func(*lifecycle.Change) bool { return true })
	if len(left) == 0 {
		return nil
	}
	changes := make([]lifecycle.Change, len(left))
	for k, i := range left {
		changes[k] = c.changes[i]
	}
	encoded, err := encode(now, changes)
	if err != nil {
		return err
	}
	if err := c.s.numberTags(ctx, encoded.jobs); err != nil {
		return c.s.blame(ctx, encoded.jobs, err)
	}
	text, args := encoded.statement(c.commit)
	outcomes, err := c.s.tryCommit(ctx, c.tx, changes, text, args)
	if err != nil {
		return err
	}
	if i := slices.Index(outcomes, lifecycle.Conflict); i >= 0 {
		return fmt.Errorf("workspace %s changed under its lock", changes[i].Workspace.ID)
	}
	_, err = c.tx.Exec(ctx, c.s.sql(handOverSQL), c.names(c.current(func(change *lifecycle.Change) bool { return change.Claims }))...)
	return err
}

func (c *claimBatch) writeMembers(ctx context.Context) error {
	if c.members == nil {
		return nil
	}
	left := c.current(func(*lifecycle.Change) bool { return true })
	members := make([]member, len(left))
	for k, i := range left {
		members[k] = c.members[i]
	}
	written, err := c.s.putRows(ctx, c.tx, members)
	for k, ok := range written {
		if !ok {
			c.outcomes[left[k]] = lifecycle.Conflict
		}
	}
	return err
}
