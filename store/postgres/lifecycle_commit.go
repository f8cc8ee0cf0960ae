package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/dormouse-go/dormouse/store/form"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/store"
)

// Commit implements [lifecycle.Store]. The error does not say which change a constraint or a trigger of the host refuses: who commits finds it by
// halves, as the executor does, and writes the others on the way. To look for it here, too, would have each of many tried twice.
func (s *Store) Commit(ctx context.Context, now time.Time, changes []lifecycle.Change) ([]lifecycle.Outcome, error) {
	return s.commit(ctx, now, changes, nil)
}

func (s *Store) commit(ctx context.Context, now time.Time, changes []lifecycle.Change, members []prewarm.Member) ([]lifecycle.Outcome, error) {
	if len(changes) == 0 {
		return nil, ctx.Err()
	}
	if err := lifecycle.ValidateBatch(changes); err != nil {
		return nil, fmt.Errorf("commit: %w", err)
	}
	wake := earliestWake(changes)
	written := s.low.write(wake)
	defer written()
	var outcomes []lifecycle.Outcome
	err := s.numbered(func() error {
		try, err := s.attempt(ctx, now, changes, members)
		if err != nil {
			return err
		}
		outcomes, err = s.untilAnswered(ctx, changes, try)
		if s.host != nil && isHeld(err) { // nothing is repeated there by itself
			outcomes, err = s.untilAnswered(ctx, changes, try)
		}
		return err
	})
	if err != nil && members != nil {
		err = s.blameChange(ctx, now, changes, members, err)
	}
	if err != nil {
		return nil, fmt.Errorf("commit: %w", heldByOthers(err))
	}
	if !wake.IsZero() {
		s.notify()
	}
	return outcomes, nil
}

// attempt makes one attempt at a batch. If an earlier one was not answered it may still hold the rows, and its outcome is
// waited for.
type attempt func(ctx context.Context, unanswered bool) ([]lifecycle.Outcome, error)

// attempt returns what one attempt at a batch does: a statement, or a transaction if workspaces change hands or come with
// members.
func (s *Store) attempt(ctx context.Context, now time.Time, changes []lifecycle.Change, members []prewarm.Member) (attempt, error) {
	if members != nil || claims(changes) {
		return s.passing(func(ctx context.Context, _ bool, commit string) (outcomes []lifecycle.Outcome, err error) {
			err = againIfTaken(func() error {
				outcomes, err = s.tryClaims(ctx, now, changes, members, commit)
				return err
			})
			return outcomes, err
		}), nil
	}
	encoded, err := encode(now, changes)
	if err != nil {
		return nil, err
	}
	if err := s.numberTags(ctx, encoded.jobs); err != nil {
		return nil, s.blame(ctx, encoded.jobs, err)
	}
	return s.passing(func(ctx context.Context, unanswered bool, commit string) ([]lifecycle.Outcome, error) {
		text, args := encoded.statement(commit)
		if unanswered {
			text = strings.Replace(text, "FOR NO KEY UPDATE SKIP LOCKED", "FOR NO KEY UPDATE", 1)
		}
		return s.tryCommit(ctx, s.db, changes, text, args)
	}), nil
}

// passing makes an attempt that, once it has waited for too long, passes over what it would wait for: the first number of a tenant,
// that a transaction gives it which does not end.
func (s *Store) passing(try func(ctx context.Context, unanswered bool, commit string) ([]lifecycle.Outcome, error)) attempt {
	commit := commitSQL
	return func(ctx context.Context, unanswered bool) ([]lifecycle.Outcome, error) {
		outcomes, err := try(ctx, unanswered, commit)
		if isHeld(err) {
			commit = commitPassingSQL
		}
		return outcomes, err
	}
}

func earliestWake(changes []lifecycle.Change) (wake time.Time) {
	for i := range changes {
		if w := changes[i].Workspace.WakeAt; !w.IsZero() && (wake.IsZero() || w.Before(wake)) {
			wake = w
		}
	}
	return wake
}

// untilAnswered makes attempts until one is answered. Whatever an attempt without an answer has done, the next one finds.
func (s *Store) untilAnswered(
	ctx context.Context, changes []lifecycle.Change, try attempt,
) (outcomes []lifecycle.Outcome, err error) {
	unanswered := false
	err = s.do(ctx, repeatable, func(ctx context.Context) (err error) {
		outcomes, err = try(ctx, unanswered)
		unanswered = unanswered || err != nil && classify(err) == dropped
		return err
	})
	if err == nil && unanswered {
		err = s.recognize(ctx, changes, outcomes)
	}
	return outcomes, err
}

// querier is the pool, or a transaction. The rows of a query that failed say so to whoever reads them, so nobody looks at its error
// before.
type querier interface {
	Query(ctx context.Context, text string, args ...any) (pgx.Rows, error)
}

func (s *Store) tryCommit(ctx context.Context, on querier, changes []lifecycle.Change, text string, args *written) ([]lifecycle.Outcome, error) {
	outcomes := make([]lifecycle.Outcome, len(changes))
	for i := range outcomes {
		outcomes[i] = lifecycle.Conflict
	}
	defer args.release()
	rows, _ := on.Query(ctx, s.sql(text), args)
	index := indexOf(changes)
	bad := &lifecycle.ChangeError{}
	blamed := len(changes)
	var id uuid.UUID
	var number pgtype.Int8 // of the build before, where the change is refused
	var status int16
	_, err := pgx.ForEachRow(rows, []any{toID(&id), &number, toInt2(&status)}, func() error {
		i := index[id]
		if !number.Valid {
			outcomes[i] = lifecycle.Applied
		} else if i < blamed { // the first in the order of the changes, like every store
			blamed, bad.WorkspaceID = i, id
			bad.Err = changes[i].Validate(lifecycle.Build{Number: number.Int64, Status: lifecycle.JobStatus(status)})
		}
		return nil
	})
	if err != nil {
		s.untilEnded(rows, err)
		return nil, err
	}
	if blamed < len(changes) {
		return nil, bad
	}
	return outcomes, nil
}

// defaultEndedWithin is how long a commit that is given up waits for the server to end it.
const defaultEndedWithin = 2 * time.Second

// untilEnded waits until the server has ended a statement whose context ended under way: it holds its rows until then, and who makes the
// commit again, in parts, would take them for somebody else's. A server that is out of reach is not waited for any longer.
func (s *Store) untilEnded(rows pgx.Rows, err error) {
	if !pgconn.Timeout(err) || pgconn.SafeToRetry(err) {
		return
	}
	conn := rows.Conn()
	if conn == nil {
		return
	}
	timer := time.NewTimer(s.endedWithin)
	defer timer.Stop()
	select {
	case <-conn.PgConn().CleanupDone(): // it is closed, as each is whose context ends under way
	case <-timer.C:
	}
}

// recognize finds among the conflicts of a repeated commit those changes that an earlier attempt has applied: the
// workspace is one revision further and looks exactly as the change wants it.
func (s *Store) recognize(ctx context.Context, changes []lifecycle.Change, outcomes []lifecycle.Outcome) error {
	var ids []uuid.UUID
	for i, o := range outcomes {
		if o == lifecycle.Conflict {
			ids = append(ids, changes[i].Workspace.ID)
		}
	}
	found, err := s.Load(ctx, ids...)
	if err != nil {
		return err
	}
	index := indexOf(changes)
	for i := range found {
		at := index[found[i].Workspace.ID]
		if wrote(&changes[at], &found[i]) {
			outcomes[at] = lifecycle.Applied
		}
	}
	return nil
}

// wrote reports whether the snapshot is what the change would have left.
func wrote(c *lifecycle.Change, s *lifecycle.Snapshot) bool {
	if s.Workspace.Revision != c.Revision+1 {
		return false
	}
	if c.NewBuild {
		return s.Build.ID == c.Build.ID && s.Build.Number == c.Build.Number
	}
	want, have := c.Workspace, s.Workspace
	if want.Autostart.Text() != have.Autostart.Text() || want.Autostop.Text() != have.Autostop.Text() {
		return false
	}
	want.Autostart, want.Autostop, want.Revision = have.Autostart, have.Autostop, have.Revision
	if !c.Claims {
		want.OwnerID, want.Name = have.OwnerID, have.Name
	}
	want.Name = form.Text(want.Name)
	want.OrganizationID, want.TemplateID, want.CreatedAt = have.OrganizationID, have.TemplateID, have.CreatedAt
	for _, t := range []*time.Time{
		&want.WakeAt, &want.AutostartAfter, &want.LastUsedAt, &want.DormantAt, &want.DeletingAt, &want.Hold.Until,
		&want.Floors.Stop, &want.Floors.Dormancy, &want.Floors.Delete,
		&want.RemindedFor, &want.AttentionAt, &want.Backoff.Until,
	} {
		*t = store.Instant(*t)
	}
	want.Hold.Note, want.Hold.By = form.Text(want.Hold.Note), form.Text(want.Hold.By)
	want.Backoff.Cause, want.Backoff.Message = lifecycle.SkipReason(form.Text(string(want.Backoff.Cause))), form.Text(want.Backoff.Message)
	build := c.Build
	build.Reason = lifecycle.Reason(form.Text(string(build.Reason)))
	build.Initiator, build.Error, build.Result = form.Text(build.Initiator), form.Text(build.Error), form.Text(build.Result)
	for _, t := range []*time.Time{&build.CreatedAt, &build.CompletedAt, &build.DueAt, &build.RunSince, &build.Deadline, &build.MaxDeadline} {
		*t = store.Instant(*t)
	}
	return want == have && (build.Number == 0 || build == s.Build)
}
