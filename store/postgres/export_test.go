package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// Statements are those that are put together from columns, by the name of their golden file.
func Statements() map[string]string {
	return map[string]string{
		"commit": commitSQL, "touch": touchSQL, "create": createSQL, "enqueue": enqueueSQL, "enqueue_passing": enqueuePassingSQL,
		"enqueue_carrying": enqueueCarryingSQL, "enqueue_one": enqueueOneSQL, "enqueue_one_carrying": enqueueOneCarryingSQL,
		"claim_events": claimByNumberSQL, "claim_events_by_line": claimByLineSQL, "claim": claimSQL, "claim_one_lane": claimOneLaneSQL, "ready": readyOfSomeSQL, "ready_from_bounds": readyFromBoundsSQL, "due": dueSQL, "builds": buildsSQL, "cancel": cancelSQL, "contenders": contendersSQL, "renew": renewSQL, "end": endSQL, "ended": endedSQL,
		"members_claim": claimMembersSQL, "members_claim_one": claimMemberSQL, "members_put": putMembersSQL,
		"members_claim_freshest": claimFreshestMemberSQL,
		"list_builds":            fleetBuildsSQL, "list_all": listAll, "list_by_status": listByStatus, "list_by_name": listByName,
	}
}

// WaitForEnds sets how long a commit that is given up waits for the server to end it.
func (s *Store) WaitForEnds(d time.Duration) { s.endedWithin = d }

// Unregister deletes a process's record behind everybody's back.
func (s *Store) Unregister(ctx context.Context, process uuid.UUID) error {
	_, err := s.pool.Exec(ctx, s.sql(`DELETE FROM dormouse.processes WHERE id = $1`), key(process))
	return err
}

// Garble makes a process's workers and a tag set unreadable.
func (s *Store) Garble(ctx context.Context, process uuid.UUID, tags queue.TagSet) error {
	s.tags.forget()
	if _, err := s.pool.Exec(ctx, s.sql(`UPDATE dormouse.processes SET workers = '[{"Waiting":3},{"Waiting":"many"}]' WHERE id = $1`), key(process)); err != nil {
		return err
	}
	_, err := s.pool.Exec(ctx, s.sql(`UPDATE dormouse.tag_sets SET canon = 'v2' || canon WHERE canon = $1`), tags.String())
	return err
}

// Corrupt writes what no method lets in, as somebody might in SQL.
func (s *Store) Corrupt(ctx context.Context, what string, id uuid.UUID, value string) error {
	statement := map[string]string{
		"policy": `UPDATE dormouse.templates SET policy = $2::text::json WHERE id = $1`,
		"state":  `UPDATE dormouse.templates SET state = $2::text::json WHERE id = $1`,
		"engine": `INSERT INTO dormouse.engine (state) SELECT $2::text::json WHERE $1::uuid IS NOT NULL
			ON CONFLICT (one) DO UPDATE SET state = excluded.state`,
		"hold rules":  `UPDATE dormouse.workspaces SET hold_rules = $2::text::smallint WHERE id = $1`,
		"quiet hours": `UPDATE dormouse.owners SET quiet_hours = $2 WHERE id = $1`,
		"autostart":   `UPDATE dormouse.workspaces SET autostart = $2 WHERE id = $1`,
		"autostop":    `UPDATE dormouse.workspaces SET autostop = $2 WHERE id = $1`,
		"ttl":         `UPDATE dormouse.workspaces SET ttl_ns = $2::text::bigint WHERE id = $1`,
	}[what]
	_, err := s.pool.Exec(ctx, s.sql(statement), key(id), value)
	return err
}

func (t *tagSets) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.number, t.set = nil, nil
}

// WorkOff works off a mark as it was found.
func (s *Store) WorkOff(ctx context.Context, subject uuid.UUID, dueAt time.Time, generation int64) error {
	return s.workOff(ctx, mark{subject: subject, dueAt: dueAt, generation: generation})
}

// LowWater is the bound that a store keeps, for tests of its own.
type LowWater struct{ low lowWater }

// Read begins a reading at an instant. What it returns teaches the bound what was found first, and returns the bound.
func (l *LowWater) Read(now time.Time) func(first time.Time) time.Time {
	r := l.low.read(now)
	return func(first time.Time) time.Time {
		l.low.learn(r, now, first)
		return l.low.bound
	}
}

// Write begins a write of a wake, and returns what ends it.
func (l *LowWater) Write(wake time.Time) func() { return l.low.write(wake) }

// LowWater is where the store would begin to read what is due, zero for the beginning.
func (s *Store) LowWater() time.Time { return s.low.known() }

// Within is the store within a transaction, with all of its methods.
func (s *Store) Within(tx pgx.Tx) *Store { return s.WithTx(tx).host.s }

// LockKey is that of the lock which migrations take.
func LockKey(schema string) int64 { return lockKey(schema) }

// CarrierKey is the advisory lock of a posting that sends its message.
func CarrierKey(schema string) int64 { return carrierKey(jobsChannel(schema)) }

// ClaimEventsFrom is a claim that looks at reach events first.
func (s *Store) ClaimEventsFrom(ctx context.Context, now time.Time, topics []lifecycle.Topic, limit, reach int) ([]lifecycle.Event, error) {
	return s.claimEvents(ctx, []any{topicNumbers(topics), now, now.Add(time.Minute), limit}, reach)
}
