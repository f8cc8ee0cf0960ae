package postgres_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/store/postgres"
)

// The record of a process that somebody holds lets no heartbeat of it through, which says so by name; the process cannot be declared
// lost meanwhile, and others can.
func TestHeartbeatBesideALockedRecord(t *testing.T) {
	s, pool := open(t)
	sends := func(sender queue.Heartbeater, p uuid.UUID) (queue.Fleet, error) {
		return sender.Heartbeat(soon(t), queue.Heartbeat{Process: p, Name: "worker-7", Now: epoch})
	}
	pubsub, err := postgres.NewPubsub(pool, postgres.Config{})
	must(t, err)
	t.Cleanup(func() { _ = pubsub.Close(t.Context()) })
	held, other := uuid.New(), uuid.New()
	for _, p := range []uuid.UUID{held, other} {
		_, err := sends(s, p)
		must(t, err)
	}
	release := holds(t, pool, `SELECT FROM dormouse.processes WHERE id = $1 FOR UPDATE`, held)
	var both sync.WaitGroup // each waits for as long as it does
	for name, sender := range map[string]queue.Heartbeater{"store": s, "pubsub": pubsub} {
		both.Go(func() {
			_, err := sends(sender, held)
			if !errors.Is(err, lifecycle.ErrUnavailable) || queue.IsAnswer(err) || !strings.Contains(err.Error(), held.String()) || !strings.Contains(err.Error(), "worker-7") {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	both.Wait()
	reap := func(p uuid.UUID) (queue.Reaped, error) {
		return s.Reap(soon(t), queue.ReapRequest{Now: epoch, Process: p, Heartbeats: 1, Limit: 10})
	}
	if reaped, err := reap(held); !errors.Is(err, lifecycle.ErrUnavailable) || reaped.Lost {
		t.Errorf("declared lost beside its lock: %+v, %v", reaped, err)
	}
	if reaped, err := reap(other); err != nil || !reaped.Lost {
		t.Errorf("the other one: %+v, %v", reaped, err)
	}
	release()
	_, err = sends(s, held)
	must(t, err)
}

// Pruning passes over what somebody holds: a job, a line of a job's log, records of processes, pauses, tag sets.
func TestPruneJobsBesideLockedRows(t *testing.T) {
	s, pool := open(t)
	process, jobs := runningJobs(t, s, 5)
	var renewals []queue.Renewal
	var ends []queue.End
	for _, j := range jobs {
		renewals = append(renewals, queue.Renewal{Handout: j.Handout(), Process: process, Lines: []queue.Line{{At: epoch, Text: "on it"}}})
		ends = append(ends, queue.End{Handout: j.Handout(), Outcome: queue.OutcomeSucceeded})
	}
	_, err := s.Renew(t.Context(), epoch, renewals)
	must(t, err)
	_, err = s.End(t.Context(), epoch, ends)
	must(t, err)
	lost := []uuid.UUID{uuid.New(), uuid.New()}
	for _, p := range lost {
		_, err := s.Heartbeat(t.Context(), queue.Heartbeat{Process: p, Now: epoch})
		must(t, err)
		_, err = s.Reap(t.Context(), queue.ReapRequest{Now: epoch, Process: p, Heartbeats: 1})
		must(t, err)
	}
	for _, kind := range []string{"build", "scan"} {
		must(t, s.PauseJobs(t.Context(), queue.Pause{Scope: queue.Scope{Type: kind}, At: epoch, Until: epoch.Add(time.Minute)}))
	}
	release := holds(t, pool, `
		WITH j AS (SELECT FROM dormouse.jobs WHERE id = $1 FOR UPDATE),
			l AS (SELECT FROM dormouse.job_lines WHERE job_id = $2 FOR UPDATE),
			p AS (SELECT FROM dormouse.processes WHERE id = $3 FOR UPDATE),
			s AS (SELECT FROM dormouse.pauses WHERE type = 'build' FOR UPDATE),
			t AS (SELECT FROM dormouse.tag_sets FOR UPDATE),
			c AS (SELECT FROM dormouse.claimed FOR UPDATE)
		SELECT (SELECT count(*) FROM j), (SELECT count(*) FROM l), (SELECT count(*) FROM p), (SELECT count(*) FROM s),
			(SELECT count(*) FROM t), (SELECT count(*) FROM c)`, jobs[0].ID, jobs[1].ID, lost[0])
	left := func() (n [3]int) {
		t.Helper()
		must(t, pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM dormouse.jobs),
			(SELECT count(*) FROM dormouse.processes WHERE lost_at IS NOT NULL), (SELECT count(*) FROM dormouse.pauses)`).Scan(&n[0], &n[1], &n[2]))
		return n
	}
	prune := func() int {
		t.Helper()
		n, err := s.PruneJobs(soon(t), epoch.Add(time.Hour), 100)
		must(t, err)
		return n
	}
	if n := prune(); n != 3 || left() != [3]int{2, 1, 1} {
		t.Errorf("pruned %d, left jobs, processes, pauses: %v", n, left())
	}
	release()
	if n := prune(); n != 2 || left() != [3]int{} {
		t.Errorf("afterwards pruned %d, left %v", n, left())
	}
}

// Expiring passes over a job that somebody holds, and fails the others.
func TestExpireBesideALockedRow(t *testing.T) {
	s, pool := open(t)
	var ids []uuid.UUID
	for range 3 {
		ids = append(ids, uuid.New())
		_, err := s.Enqueue(t.Context(), epoch, []queue.Posting{{ID: ids[len(ids)-1], Organization: uuid.New(), Type: "build"}})
		must(t, err)
	}
	expire := func() int {
		t.Helper()
		changed, err := s.Cancel(soon(t), queue.Cancellation{Now: epoch, IDs: ids, Expire: true})
		must(t, err)
		return len(changed)
	}
	release := holds(t, pool, `SELECT FROM dormouse.jobs WHERE id = $1 FOR UPDATE`, ids[0])
	if n := expire(); n != 2 {
		t.Errorf("%d expired, want 2", n)
	}
	release()
	if n := expire(); n != 1 {
		t.Errorf("afterwards %d expired, want 1", n)
	}
}

// What cannot be pruned, because somebody holds a row of it or a table of the host refers to it, keeps nothing else: neither builds,
// nor deleted workspaces, nor jobs.
func TestPruneBuildsBesideWhatCannotGo(t *testing.T) {
	s, pool := open(t)
	f := newFleet(t, s, 6)
	exec(t, pool, `UPDATE dormouse.workspaces SET deleted = true, build_number = 3, build_id = gen_random_uuid(), build_version_id = gen_random_uuid(),
		build_transition = 3, build_status = 4, build_reason = '', build_completed_at = $1 WHERE id <> $2`, epoch, f.ids[5])
	exec(t, pool, `CREATE TABLE host_notes (workspace_id uuid REFERENCES dormouse.workspaces (id))`)
	exec(t, pool, `INSERT INTO host_notes VALUES ($1)`, f.ids[0])
	build := func(workspace uuid.UUID, number int, completed any) {
		t.Helper()
		exec(t, pool, `INSERT INTO dormouse.builds (workspace_id, number, id, version_id, transition, reason, status, completed_at)
			SELECT $1, $2, gen_random_uuid(), gen_random_uuid(), 1, '', 4, $3::timestamptz`, workspace, number, completed)
	}
	build(f.ids[1], 1, nil)
	for n := 1; n <= 4; n++ {
		build(f.ids[5], n, epoch)
	}
	exec(t, pool, `CREATE TABLE host_builds (workspace_id uuid, number bigint, FOREIGN KEY (workspace_id, number) REFERENCES dormouse.builds)`)
	exec(t, pool, `INSERT INTO host_builds VALUES ($1, 2)`, f.ids[5])
	release := holds(t, pool, `SELECT FROM dormouse.builds WHERE workspace_id = $1 FOR UPDATE`, f.ids[1])
	prune := func(limit int) int {
		t.Helper()
		n, err := s.PruneBuilds(soon(t), epoch.Add(time.Hour), limit)
		must(t, err)
		return n
	}
	if n := prune(2); n != 2 {
		t.Errorf("pruned %d, want no more than the limit", n)
	}
	if n := prune(100); n != 1+3 {
		t.Errorf("pruned %d, want the last build that may go and three workspaces", n)
	}
	if n := prune(100); n != 0 {
		t.Errorf("pruned %d, want none", n)
	}
	release()
	exec(t, pool, `DROP TABLE host_notes, host_builds`)
	if n := prune(100); n != 3 {
		t.Errorf("afterwards pruned %d, want 3", n)
	}
}

// A job that a table of the host refers to stays, and keeps no other.
func TestPruneJobsBesideAHostsReference(t *testing.T) {
	s, pool := open(t)
	_, jobs := runningJobs(t, s, 5)
	var ends []queue.End
	for _, j := range jobs {
		ends = append(ends, queue.End{Handout: j.Handout(), Outcome: queue.OutcomeSucceeded})
	}
	_, err := s.End(t.Context(), epoch, ends)
	must(t, err)
	exec(t, pool, `CREATE TABLE host_runs (job_id uuid REFERENCES dormouse.jobs (id))`)
	exec(t, pool, `INSERT INTO host_runs VALUES ($1)`, jobs[2].ID)
	for _, want := range []int{4, 0} {
		n, err := s.PruneJobs(soon(t), epoch.Add(time.Hour), 100)
		must(t, err)
		if n != want {
			t.Errorf("pruned %d, want %d", n, want)
		}
	}
	exec(t, pool, `DROP TABLE host_runs`)
	if n, err := s.PruneJobs(soon(t), epoch.Add(time.Hour), 100); err != nil || n != 1 {
		t.Errorf("afterwards pruned %d, %v", n, err)
	}
}

// A member whose row somebody holds is not written, the others of the call are.
func TestPutMembersBesideALockedRow(t *testing.T) {
	s, pool := open(t)
	var changes []prewarm.Change
	for range 3 {
		changes = append(changes, prewarm.Change{Member: prewarm.Member{ID: uuid.New(), Pool: "p", State: prewarm.Ready}})
	}
	put := func() []bool {
		t.Helper()
		applied, err := s.PutMembers(soon(t), nil, changes)
		must(t, err)
		return applied
	}
	put()
	for i := range changes {
		changes[i].Member.Revision, changes[i].Member.Message = 1, "second"
	}
	holds(t, pool, `SELECT FROM dormouse.members WHERE id = $1 FOR UPDATE`, changes[1].Member.ID)
	if a := put(); !a[0] || a[1] || !a[2] {
		t.Errorf("applied %v", a)
	}
}

// Where jobs go one by one because somebody holds one of them, no more go than were asked for.
func TestPruneBesideAHeldRowKeepsItsLimit(t *testing.T) {
	s, pool := open(t)
	expire(t, s, epoch, slices.Repeat([]queue.Posting{{Organization: uuid.New(), Tenant: uuid.New(), Type: "build"}}, 6))
	// A line of the first one's log is held, which goes with it.
	exec(t, pool, `INSERT INTO dormouse.job_lines (job_id, seq, at, text) SELECT id, 1, created_at, 'x' FROM dormouse.jobs ORDER BY ended_at, id LIMIT 1`)
	release := holds(t, pool, `SELECT FROM dormouse.job_lines FOR UPDATE`)
	for want := 4; want >= 2; want -= 2 {
		n, err := s.PruneJobs(soon(t), epoch.Add(time.Hour), 2)
		must(t, err)
		if left := count(t, pool, "jobs"); n != 2 || left != want {
			t.Errorf("%d went, %d are left, want %d", n, left, want)
		}
	}
	release()
	n, err := s.PruneJobs(soon(t), epoch.Add(time.Hour), 10)
	must(t, err)
	if n != 2 {
		t.Errorf("%d went when nobody held anything", n)
	}
}
