package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store"
	"github.com/dormouse-go/dormouse/store/postgres"
)

// A claim of a process whose record somebody holds fails for that process, by name, and takes nothing; others claim.
func TestClaimBesideALockedRecord(t *testing.T) {
	s, pool := open(t)
	held, other, org := uuid.New(), uuid.New(), uuid.New()
	for _, p := range []uuid.UUID{held, other} {
		_, err := s.Heartbeat(t.Context(), queue.Heartbeat{Process: p, Now: epoch})
		must(t, err)
	}
	_, err := s.Enqueue(t.Context(), epoch, []queue.Posting{
		{ID: uuid.New(), Organization: org, Type: "build"}, {ID: uuid.New(), Organization: org, Type: "scan"},
	})
	must(t, err)
	claim := func(p uuid.UUID, limits queue.Limits, kinds ...string) (queue.Claimed, error) {
		c := queue.Claim{
			Token: uuid.New(), Process: p, Now: epoch, Workers: []uuid.UUID{uuid.New()}, Secrets: []queue.SecretHash{queue.NewSecret().Hash()}, Limits: limits,
		}
		for _, kind := range kinds {
			c.Probes = append(c.Probes, queue.Probe{Lane: queue.Lane{Organization: org, Type: kind}})
		}
		return s.Claim(soon(t), c)
	}
	release := holds(t, pool, `SELECT FROM dormouse.processes WHERE id = $1 FOR UPDATE`, held)
	for name, c := range map[string]struct {
		limits queue.Limits
		kinds  []string
	}{
		"one lane": {kinds: []string{"build"}},
		"lanes":    {kinds: []string{"build", "scan"}},
		"limits":   {queue.Limits{PerTenant: 5}, []string{"build"}},
	} {
		claimed, err := claim(held, c.limits, c.kinds...)
		if !errors.Is(err, lifecycle.ErrUnavailable) || queue.IsAnswer(err) || !strings.Contains(err.Error(), held.String()) || len(claimed.Jobs) != 0 {
			t.Errorf("%s: %d jobs, %v", name, len(claimed.Jobs), err)
		}
	}
	claimed, err := claim(other, queue.Limits{}, "build")
	must(t, err)
	if len(claimed.Jobs) != 1 {
		t.Errorf("another process got %d jobs", len(claimed.Jobs))
	}
	release()
	claimed, err = claim(held, queue.Limits{}, "build", "scan")
	must(t, err)
	if len(claimed.Jobs) != 1 {
		t.Errorf("afterwards it got %d jobs", len(claimed.Jobs))
	}
}

// A transaction of the host that was left open keeps no other one waiting without end, nor a call of the store: what can pass it does,
// the rest fails, says what is held, and costs the transaction of the host nothing else.
func TestTransactionsBesideATransaction(t *testing.T) {
	s, pool := open(t)
	f := newFleet(t, s, 0)
	org := f.template.OrganizationID
	var tenant uuid.UUID
	var snapshots []lifecycle.Snapshot
	unique := func() []queue.Posting {
		return []queue.Posting{{ID: uuid.New(), Organization: org, Tenant: uuid.New(), Type: "scan", Unique: "once"}}
	}
	first := func() []queue.Posting {
		return []queue.Posting{{ID: uuid.New(), Organization: org, Tenant: tenant, Type: "build"}}
	}
	same := lifecycle.Workspace{
		ID: uuid.New(), OrganizationID: org, OwnerID: f.owner.ID, TemplateID: f.template.ID, Name: "same", CreatedAt: epoch,
	}
	enqueue := func(to store.Bound, p []queue.Posting) error { _, err := to.Enqueue(soon(t), epoch, p); return err }
	must(t, enqueue(s, []queue.Posting{{ID: uuid.New(), Organization: org, Type: "scan"}})) // the tag set is there
	commit := func(to store.Bound) error {
		next := snapshots[0]
		snapshots = snapshots[1:]
		outcomes, err := to.Commit(soon(t), epoch, []lifecycle.Change{started(t, next)})
		if err == nil && outcomes[0] != lifecycle.Applied {
			return fmt.Errorf("outcome %v", outcomes[0])
		}
		return err
	}
	for name, does := range map[string]struct {
		left   func(store.Bound) error // by the transaction that is left open
		do     func(store.Bound) error
		passes bool
		names  string
	}{
		"first turn of a tenant": {
			func(b store.Bound) error { return enqueue(b, first()) }, func(b store.Bound) error { return enqueue(b, first()) }, true, "",
		},
		"first turn in a commit": {
			commit, commit, true, "",
		},
		"unique job": {
			func(b store.Bound) error { return enqueue(b, unique()) }, func(b store.Bound) error { return enqueue(b, unique()) }, false, `relation "jobs"`,
		},
		"workspace of one id": {
			func(b store.Bound) error { return b.CreateWorkspaces(soon(t), epoch, same) },
			func(b store.Bound) error { return b.CreateWorkspaces(soon(t), epoch, same) }, false, "workspaces",
		},
	} {
		for where, within := range map[string]bool{"store": false, "transaction": true} {
			t.Run(name+"/"+where, func(t *testing.T) {
				tenant, snapshots = uuid.New(), load(t, s, newFleet(t, s, 2).ids...) // of an owner who has no number either
				left := beginHost(t, s, pool)
				must(t, does.left(left))
				to, host := store.Bound(s), (*hostCall)(nil)
				if within {
					host = beginHost(t, s, pool)
					to = host
				}
				err := does.do(to)
				switch {
				case does.passes:
					must(t, err)
				case !errors.Is(err, lifecycle.ErrUnavailable) || !strings.Contains(err.Error(), does.names):
					t.Errorf("error %v, want one that says what is held", err)
				}
				if within {
					host.wantUsable(t)
				}
			})
		}
	}
}

// hostCall is a transaction of the host, and the store in it.
type hostCall struct {
	*postgres.Tx
	tx interface {
		QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
		Rollback(ctx context.Context) error
	}
}

// beginHost begins one, which ends with the test.
func beginHost(t *testing.T, s *postgres.Store, pool *pgxpool.Pool) *hostCall {
	t.Helper()
	tx, err := pool.Begin(t.Context())
	must(t, err)
	t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	_, err = tx.Exec(t.Context(), `SET LOCAL lock_timeout = '7s'`)
	must(t, err)
	return &hostCall{s.WithTx(tx), tx}
}

// wantUsable checks that the transaction goes on, under its own settings.
func (h *hostCall) wantUsable(t *testing.T) {
	t.Helper()
	var own string
	must(t, h.tx.QueryRow(t.Context(), `
		SELECT concat_ws(' ', current_setting('lock_timeout'), current_setting('enable_seqscan'), current_setting('plan_cache_mode'))`).Scan(&own))
	if own != "7s on auto" {
		t.Errorf("the host's settings are %s now", own)
	}
}

// A claim under limits that stands still in another process, with the turn of its organization, keeps no other organization's jobs, and
// those of its own no longer than a bound: then the claim says what it waited for.
func TestClaimBesideAClaimThatStandsStill(t *testing.T) {
	s, pool := open(t)
	still, other, process := uuid.New(), uuid.New(), uuid.New()
	_, err := s.Heartbeat(t.Context(), queue.Heartbeat{Process: process, Now: epoch})
	must(t, err)
	_, err = s.Enqueue(t.Context(), epoch, []queue.Posting{
		{ID: uuid.New(), Organization: still, Type: "build"}, {ID: uuid.New(), Organization: other, Type: "build"},
	})
	must(t, err)
	claim := func(org uuid.UUID) (queue.Claimed, error) {
		return s.Claim(t.Context(), queue.Claim{
			Token: uuid.New(), Process: process, Now: epoch, Workers: []uuid.UUID{uuid.New()}, Secrets: []queue.SecretHash{queue.NewSecret().Hash()},
			Limits: queue.Limits{PerTenant: 9}, Probes: []queue.Probe{{Lane: queue.Lane{Organization: org, Type: "build"}}},
		})
	}
	release := holds(t, pool, `SELECT pg_advisory_xact_lock(hashtextextended($1 || $2::uuid::text, 0))`, postgres.DefaultSchema, still)
	claimed, err := claim(other)
	must(t, err)
	if len(claimed.Jobs) != 1 {
		t.Errorf("another organization got %d jobs", len(claimed.Jobs))
	}
	answers := make(chan error, 1)
	go func() {
		_, err := claim(still)
		answers <- err
	}()
	select {
	case err := <-answers:
		if !errors.Is(err, lifecycle.ErrUnavailable) || queue.IsAnswer(err) || !strings.Contains(err.Error(), "turn of organization "+still.String()) {
			t.Errorf("beside one that stands still: %v", err)
		}
		release()
	case <-time.After(2 * time.Minute):
		t.Error("the claim waits without a bound")
		release()
		<-answers
	}
	claimed, err = claim(still)
	must(t, err)
	if len(claimed.Jobs) != 1 {
		t.Errorf("afterwards %d jobs", len(claimed.Jobs))
	}
}

// What somebody is to delete, to pause or to resume, and somebody else holds, is waited for no longer than a bound. Then the call says so.
func TestDeletingAndPausingBesideALockedRow(t *testing.T) {
	s, pool := open(t)
	f := newFleet(t, s, 0)
	must(t, s.PauseJobs(t.Context(), queue.Pause{At: epoch}))
	for name, c := range map[string]struct {
		table string
		call  func(context.Context) error
	}{
		"delete an owner":    {"owners", func(ctx context.Context) error { return s.DeleteOwner(ctx, f.owner.ID) }},
		"delete a template":  {"templates", func(ctx context.Context) error { return s.DeleteTemplate(ctx, f.template.ID) }},
		"pause jobs again":   {"pauses", func(ctx context.Context) error { return s.PauseJobs(ctx, queue.Pause{At: epoch}) }},
		"resume paused jobs": {"pauses", func(ctx context.Context) error { _, err := s.ResumeJobs(ctx, queue.Scope{}); return err }},
	} {
		t.Run(name, func(t *testing.T) {
			release := holds(t, pool, `SELECT FROM dormouse.`+c.table+` FOR UPDATE`)
			err := c.call(soon(t))
			if !errors.Is(err, lifecycle.ErrUnavailable) || !strings.Contains(err.Error(), `relation "`+c.table+`"`) {
				t.Errorf("beside somebody who holds it: %v", err)
			}
			release()
			if err := c.call(t.Context()); err != nil {
				t.Errorf("afterwards: %v", err)
			}
			if c.table == "pauses" {
				must(t, s.PauseJobs(t.Context(), queue.Pause{At: epoch}))
			}
		})
	}
}
