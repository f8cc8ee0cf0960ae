package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/store"
	"github.com/dormouse-go/dormouse/store/postgres"
	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
)

// killPhases are when a session is ended that writes a row of the table.
var killPhases = map[string]string{
	"before the row": `CREATE TRIGGER kills BEFORE %s ON dormouse.%s FOR EACH ROW EXECUTE FUNCTION public.kills()`,
	"after the row":  `CREATE TRIGGER kills AFTER %s ON dormouse.%s FOR EACH ROW EXECUTE FUNCTION public.kills()`,
	"at the commit": `CREATE CONSTRAINT TRIGGER kills AFTER %s ON dormouse.%s DEFERRABLE INITIALLY DEFERRED
		FOR EACH ROW EXECUTE FUNCTION public.kills()`,
}

// kills is a trigger that ends its own session, or its statement, as often as public.deaths says. A rollback does not set that back.
const kills = `
	CREATE SEQUENCE public.deaths;
	CREATE TABLE public.death (most bigint, fatal boolean);
	INSERT INTO public.death VALUES (0, true);
	CREATE FUNCTION public.kills() RETURNS trigger LANGUAGE plpgsql AS $$
	DECLARE d public.death;
	BEGIN
		SELECT * INTO d FROM public.death;
		IF nextval('public.deaths') <= d.most THEN
			IF d.fatal THEN PERFORM pg_terminate_backend(pg_backend_pid()); ELSE PERFORM pg_cancel_backend(pg_backend_pid()); END IF;
			PERFORM pg_sleep(60);
		END IF;
		IF TG_OP = 'DELETE' THEN RETURN old; END IF;
		RETURN new;
	END $$`

// killable is a store, and what is in it.
type killable struct {
	*testing.T
	*postgres.Store
	pool *pgxpool.Pool
}

// want compares what a query counts.
func (k *killable) want(n int, query string, args ...any) func() error {
	return func() error {
		var got int
		must(k, k.pool.QueryRow(k.Context(), query, args...).Scan(&got))
		if got != n {
			return fmt.Errorf("%s: %d, want %d", query, got, n)
		}
		return nil
	}
}

func failing[T any](k *killable, call func(context.Context) (T, error)) func() error {
	return func() error { _, err := call(soon(k.T)); return err }
}

// killedVerb is a call that writes rows of a table. It may be made again after it failed; done says whether it has had its effect, once.
type killedVerb struct {
	on, table string
	prepare   func(k *killable) (call, done func() error)
}

// killedVerbs are what a host's administrator may interrupt.
var killedVerbs = map[string]killedVerb{
	"enqueue": {"INSERT", "jobs", func(k *killable) (call, done func() error) {
		p := slices.Repeat([]queue.Posting{{Organization: uuid.New(), Tenant: uuid.New(), Type: "build"}}, 3)
		for i := range p {
			p[i].ID = uuid.New()
		}
		return failing(k, func(ctx context.Context) ([]queue.Job, error) { return k.Enqueue(ctx, epoch, p) }), k.want(3, `SELECT count(*) FROM dormouse.jobs`)
	}},
	"claim":              {"UPDATE", "jobs", func(k *killable) (call, done func() error) { return claiming(k, queue.Limits{}) }},
	"claim under limits": {"UPDATE", "jobs", func(k *killable) (call, done func() error) { return claiming(k, queue.Limits{PerTenant: 5}) }},
	"renew": {"UPDATE", "jobs", func(k *killable) (call, done func() error) {
		process, jobs := runningJobs(k.T, k.Store, 3)
		var renewals []queue.Renewal
		for _, j := range jobs {
			renewals = append(renewals, queue.Renewal{Handout: j.Handout(), Process: process, Progress: &queue.Progress{Percent: 7}})
		}
		return each(func() ([]queue.Renewed, error) { return k.Renew(soon(k.T), epoch, renewals) }, func(r queue.Renewed) error { return r.Err }),
			k.want(3, `SELECT count(*) FROM dormouse.jobs WHERE percent = 7`)
	}},
	"log": {"INSERT", "job_lines", func(k *killable) (call, done func() error) {
		process, jobs := runningJobs(k.T, k.Store, 2)
		var renewals []queue.Renewal
		for _, j := range jobs {
			renewals = append(renewals, queue.Renewal{Handout: j.Handout(), Process: process, Lines: []queue.Line{{At: epoch, Text: "on it"}}})
		}
		return each(func() ([]queue.Renewed, error) { return k.Renew(soon(k.T), epoch, renewals) }, func(r queue.Renewed) error { return r.Err }),
			k.want(2, `SELECT count(*) FROM dormouse.job_lines`)
	}},
	"end": {"UPDATE", "jobs", func(k *killable) (call, done func() error) {
		_, jobs := runningJobs(k.T, k.Store, 3)
		var ends []queue.End
		for _, j := range jobs {
			ends = append(ends, queue.End{Handout: j.Handout(), Outcome: queue.OutcomeFailed})
		}
		return each(func() ([]queue.Ended, error) { return k.End(soon(k.T), epoch, ends) }, func(e queue.Ended) error { return e.Err }),
			k.want(3, `SELECT count(*) FROM dormouse.jobs WHERE state = 3 AND jsonb_array_length(history) = 1`)
	}},
	"cancel": {"UPDATE", "jobs", func(k *killable) (call, done func() error) {
		ids := k.posted(3)
		return failing(k, func(ctx context.Context) ([]queue.Job, error) {
			return k.Cancel(ctx, queue.Cancellation{Now: epoch, IDs: ids})
		}), k.want(3, `SELECT count(*) FROM dormouse.jobs WHERE state = 4`)
	}},
	"expire": {"UPDATE", "jobs", func(k *killable) (call, done func() error) {
		ids := k.posted(3)
		return failing(k, func(ctx context.Context) ([]queue.Job, error) {
			return k.Cancel(ctx, queue.Cancellation{Now: epoch, IDs: ids, Expire: true})
		}), k.want(3, `SELECT count(*) FROM dormouse.jobs WHERE state = 3`)
	}},
	"retry": {"UPDATE", "jobs", func(k *killable) (call, done func() error) {
		ids := k.posted(3)
		_, err := k.Cancel(k.Context(), queue.Cancellation{Now: epoch, IDs: ids})
		must(k, err)
		return failing(k, func(ctx context.Context) ([]queue.Job, error) {
				return k.RetryJobs(ctx, queue.Retry{Now: epoch, IDs: ids})
			}),
			k.want(3, `SELECT count(*) FROM dormouse.jobs WHERE state = 0 AND round = 1`)
	}},
	"turn ready": {"UPDATE", "jobs", func(k *killable) (call, done func() error) {
		later := queue.Posting{Organization: uuid.New(), Tenant: uuid.New(), Type: "build", NotBefore: epoch.Add(time.Minute)}
		_, err := k.Enqueue(k.Context(), epoch, []queue.Posting{later, later})
		must(k, err)
		return failing(k, func(ctx context.Context) (queue.Listing, error) {
			return k.Ready(ctx, epoch.Add(time.Hour), queue.ReadyQuery{CountTo: 5, Whole: true})
		}), k.want(2, `SELECT count(*) FROM dormouse.jobs WHERE ready`)
	}},
	"heartbeat": {"INSERT", "processes", func(k *killable) (call, done func() error) {
		b := queue.Heartbeat{Process: uuid.New(), Now: epoch}
		return failing(k, func(ctx context.Context) (queue.Fleet, error) { return k.Heartbeat(ctx, b) }), k.want(1, `SELECT count(*) FROM dormouse.processes`)
	}},
	"reap": {"UPDATE", "processes", func(k *killable) (call, done func() error) {
		process, _ := runningJobs(k.T, k.Store, 2)
		return func() error {
			r, err := k.Reap(soon(k.T), queue.ReapRequest{Now: epoch, Process: process, Heartbeats: 1, Limit: 10})
			if err == nil && (!r.Lost || len(r.Jobs) != 2) {
				return fmt.Errorf("reaped %+v", r)
			}
			return err
		}, k.want(1, `SELECT count(*) FROM dormouse.processes WHERE lost_at IS NOT NULL`)
	}},
	"prune jobs": {"DELETE", "jobs", func(k *killable) (call, done func() error) {
		_, err := k.Cancel(k.Context(), queue.Cancellation{Now: epoch, IDs: k.posted(3)})
		must(k, err)
		return failing(k, func(ctx context.Context) (int, error) { return k.PruneJobs(ctx, epoch.Add(time.Hour), 10) }),
			k.want(0, `SELECT count(*) FROM dormouse.jobs`)
	}},
	"commit: workspace":       {"UPDATE", "workspaces", committing},
	"commit: job":             {"INSERT", "jobs", committing},
	"commit: event":           {"INSERT", "events", committing},
	"commit of a claim":       {"UPDATE", "workspaces", renaming},
	"commit of a claim: keys": {"UPDATE", "workspace_keys", renaming},
	"create":                  {"INSERT", "workspaces", creating},
	"create: keys":            {"INSERT", "workspace_keys", creating},
	"put owner": {"UPDATE", "owners", func(k *killable) (call, done func() error) {
		f := newFleet(k.T, k.Store, 2)
		f.owner.Name = "bob"
		return func() error { return k.PutOwner(soon(k.T), epoch, f.owner) }, k.want(1, `SELECT count(*) FROM dormouse.owners WHERE name = 'bob'`)
	}},
	"put owner: wakes": {"UPDATE", "workspaces", func(k *killable) (call, done func() error) {
		f := newFleet(k.T, k.Store, 2)
		exec(k, k.pool, `UPDATE dormouse.workspaces SET wake_at = NULL`)
		f.owner.Name = "bob"
		return func() error { return k.PutOwner(soon(k.T), epoch, f.owner) }, func() error {
			exec(k, k.pool, `UPDATE dormouse.marks SET touched_at = '-infinity'`)
			if due, err := k.Due(soon(k.T), lifecycle.DueQuery{Now: epoch, Limit: 10}); err != nil || len(due) != 2 {
				return fmt.Errorf("%d are due, %w", len(due), err)
			}
			return k.want(1, `SELECT count(*) FROM dormouse.owners WHERE name = 'bob'`)()
		}
	}},
	"prune builds": {"DELETE", "builds", func(k *killable) (call, done func() error) {
		f := newFleet(k.T, k.Store, 1)
		exec(k, k.pool, `INSERT INTO dormouse.builds (workspace_id, number, id, version_id, transition, reason, status, completed_at)
			SELECT $1, n, gen_random_uuid(), gen_random_uuid(), 1, '', 4, $2 FROM generate_series(1, 3) n`, f.ids[0], epoch)
		return failing(k, func(ctx context.Context) (int, error) { return k.PruneBuilds(ctx, epoch.Add(time.Hour), 10) }),
			k.want(0, `SELECT count(*) FROM dormouse.builds`)
	}},
	"tick": {"INSERT", "ticks", func(k *killable) (call, done func() error) {
		return failing(k, func(ctx context.Context) (time.Time, error) { return k.Ticked(ctx, epoch, time.Minute, time.Hour) }),
			k.want(1, `SELECT count(*) FROM dormouse.ticks`)
	}},
	"share": {"INSERT", "replicas", func(k *killable) (call, done func() error) {
		id := uuid.New()
		return failing(k, func(ctx context.Context) (lifecycle.Shard, error) { return k.Shard(ctx, epoch, id, time.Minute) }),
			k.want(1, `SELECT count(*) FROM dormouse.replicas`)
	}},
	"admit deletions": {"INSERT", "deletions", func(k *killable) (call, done func() error) {
		ids := newFleet(k.T, k.Store, 2).ids
		due := []lifecycle.DueDeletion{{WorkspaceID: ids[0]}, {WorkspaceID: ids[1]}}
		return failing(k, func(ctx context.Context) ([]uuid.UUID, error) {
			return k.AdmitDeletions(ctx, epoch, lifecycle.Brake{Max: 5}, due)
		}), k.want(2, `SELECT count(*) FROM dormouse.deletions`)
	}},
	"enqueue in a transaction of the host": {"INSERT", "jobs", func(k *killable) (call, done func() error) {
		p := []queue.Posting{{ID: uuid.New(), Organization: uuid.New(), Tenant: uuid.New(), Type: "build"}}
		return func() error {
			tx, err := k.pool.Begin(k.Context())
			must(k, err)
			defer func() { _ = tx.Rollback(context.Background()) }()
			if _, err := k.WithTx(tx).Enqueue(soon(k.T), epoch, p); err != nil {
				return err
			}
			err = tx.Commit(k.Context()) // the host's own
			if tx.Conn().IsClosed() {
				return lifecycle.ErrUnavailable
			}
			return err
		}, k.want(1, `SELECT count(*) FROM dormouse.jobs`)
	}},
	"claim events": {"UPDATE", "events", func(k *killable) (call, done func() error) {
		k.emit(3)
		return failing(k, func(ctx context.Context) ([]lifecycle.Event, error) {
			return k.ClaimEvents(ctx, epoch, audit, time.Minute, 10)
		}), k.want(3, `SELECT count(*) FROM dormouse.events WHERE attempt = 1`)
	}},
	"settle events: delivered": {"DELETE", "events", func(k *killable) (call, done func() error) { return settling(k, time.Time{}) }},
	"settle events: retried":   {"UPDATE", "events", func(k *killable) (call, done func() error) { return settling(k, epoch.Add(time.Hour)) }},
	"prune events": {"DELETE", "events", func(k *killable) (call, done func() error) {
		k.emit(3)
		return failing(k, func(ctx context.Context) ([]lifecycle.Event, error) {
			return k.PruneEvents(ctx, epoch.Add(time.Hour), audit, 10)
		}), k.want(0, `SELECT count(*) FROM dormouse.events`)
	}},
	"forget": {"DELETE", "owners", func(k *killable) (call, done func() error) {
		p := store.Person{ID: uuid.New(), Names: []string{"zoe"}, Pseudonym: uuid.New()}
		must(k, k.PutOwner(k.Context(), epoch, lifecycle.Owner{ID: p.ID, Name: "zoe"}))
		return func() error { return k.Forget(soon(k.T), p) }, k.want(0, `SELECT count(*) FROM dormouse.owners WHERE name = 'zoe'`)
	}},
	"put members": {"INSERT", "members", func(k *killable) (call, done func() error) {
		changes := []prewarm.Change{readyMember(), readyMember()}
		return failing(k, func(ctx context.Context) ([]bool, error) { return k.PutMembers(ctx, nil, changes) }), k.want(2, `SELECT count(*) FROM dormouse.members`)
	}},
	"claim members": {"UPDATE", "members", func(k *killable) (call, done func() error) {
		_, err := k.PutMembers(k.Context(), nil, []prewarm.Change{readyMember(), readyMember(), readyMember()})
		must(k, err)
		claims := []prewarm.Claim{{Key: "one", Owner: "ann"}, {Key: "two", Owner: "bob"}}
		return failing(k, func(ctx context.Context) ([]prewarm.Grant, error) {
			return k.ClaimMembers(ctx, epoch, prewarm.Pick{Pool: "p", Version: "v"}, claims)
		}), k.want(2, `SELECT count(*) FROM dormouse.members WHERE claim_key <> ''`)
	}},
}

var audit = []lifecycle.Topic{lifecycle.TopicAudit}

func readyMember() prewarm.Change {
	return prewarm.Change{Member: prewarm.Member{ID: uuid.New(), Pool: "p", Version: "v", State: prewarm.Ready, ReadyAt: epoch}}
}

// each makes a call that answers for each of its parts, whose errors are its own.
func each[T any](call func() ([]T, error), failed func(T) error) func() error {
	return func() error {
		answers, err := call()
		for _, a := range answers {
			err = errors.Join(err, failed(a))
		}
		return err
	}
}

func (k *killable) posted(n int) []uuid.UUID {
	jobs, err := k.Enqueue(k.Context(), epoch, slices.Repeat([]queue.Posting{{Organization: uuid.New(), Tenant: uuid.New(), Type: "build"}}, n))
	must(k, err)
	return jobIDs(jobs)
}

// claiming claims as an acquirer does: what a claim without an answer has got it does not claim again.
func claiming(k *killable, limits queue.Limits) (call, done func() error) {
	c := newLine(k.T, k.Store, 3)
	c.Limits = limits
	return func() error {
		c.Token, c.Workers, c.Secrets = uuid.New(), nil, nil
		for range 3 {
			c.Workers, c.Secrets = append(c.Workers, uuid.New()), append(c.Secrets, queue.NewSecret().Hash())
		}
		claimed, err := k.Claim(soon(k.T), c)
		if err == nil && len(claimed.Jobs) != 3 {
			return fmt.Errorf("claimed %d", len(claimed.Jobs))
		}
		return err
	}, k.want(3, `SELECT count(*) FROM dormouse.jobs WHERE state = 1 AND attempt = 1 AND fence = 1`)
}

// emit stores events of as many workspaces.
func (k *killable) emit(n int) {
	var changes []lifecycle.Change
	for _, s := range load(k.T, k.Store, newFleet(k.T, k.Store, n).ids...) {
		c := wakeAt(s, epoch)
		c.Events = []lifecycle.Event{{Topic: lifecycle.TopicAudit, Kind: lifecycle.EventChanged, At: epoch, WorkspaceID: s.Workspace.ID}}
		changes = append(changes, c)
	}
	_, err := k.Commit(k.Context(), epoch, changes)
	must(k, err)
}

func settling(k *killable, retryAt time.Time) (call, done func() error) {
	k.emit(3)
	events, err := k.ClaimEvents(k.Context(), epoch, audit, time.Minute, 10)
	must(k, err)
	var deliveries []lifecycle.Delivery
	for _, e := range events {
		deliveries = append(deliveries, lifecycle.Delivery{Seq: e.Seq, RetryAt: retryAt})
	}
	call = func() error { return k.SettleEvents(soon(k.T), epoch, deliveries) }
	if retryAt.IsZero() {
		return call, k.want(0, `SELECT count(*) FROM dormouse.events`)
	}
	return call, k.want(3, `SELECT count(*) FROM dormouse.events WHERE free_at = $1`, retryAt)
}

func committing(k *killable) (call, done func() error) {
	c := started(k.T, load(k.T, k.Store, newFleet(k.T, k.Store, 1).ids...)[0])
	c.Events = []lifecycle.Event{{Topic: lifecycle.TopicAudit, Kind: lifecycle.EventChanged, At: epoch, WorkspaceID: c.Workspace.ID}}
	return applied(k, c), k.want(3, `SELECT (SELECT count(*) FROM dormouse.jobs) + (SELECT count(*) FROM dormouse.events)
		+ (SELECT count(*) FROM dormouse.workspaces WHERE revision = 2 AND build_number = 1)`)
}

func renaming(k *killable) (call, done func() error) {
	c := wakeAt(load(k.T, k.Store, newFleet(k.T, k.Store, 1).ids...)[0], epoch)
	c.Claims, c.Workspace.Name = true, "mine"
	return applied(k, c), k.want(1, `SELECT count(*) FROM dormouse.workspaces JOIN dormouse.workspace_keys USING (id, name) WHERE name = 'mine' AND revision = 2`)
}

func creating(k *killable) (call, done func() error) {
	w := load(k.T, k.Store, newFleet(k.T, k.Store, 1).ids...)[0].Workspace
	w.ID, w.Name = uuid.New(), "next"
	return func() error { return k.CreateWorkspaces(soon(k.T), epoch, w) },
		k.want(2, `SELECT count(*) FROM dormouse.workspaces JOIN dormouse.workspace_keys USING (id, name)`)
}

func applied(k *killable, c lifecycle.Change) func() error {
	return func() error {
		outcomes, err := k.Commit(soon(k.T), epoch, []lifecycle.Change{c})
		if err == nil && outcomes[0] != lifecycle.Applied {
			return fmt.Errorf("outcome %v", outcomes[0])
		}
		return err
	}
}

// death is how often a session meets its end.
type death struct {
	most int
	// fatal: the session is ended, and not its statement alone.
	fatal bool
}

// A session that is ended in the middle of a call, or whose statement is canceled, costs at most that call: it has its effect, once, or it
// fails, has none and may be made again. Where the session was ended the error says that the store is unavailable.
func TestKilledSessions(t *testing.T) {
	pool := pgtest.Pool(t)
	exec(t, pool, kills)
	for name, v := range killedVerbs {
		t.Run(name, func(t *testing.T) {
			k := &killable{T: t, pool: pool}
			for phase, trigger := range killPhases {
				k.dies(v, trigger, phase+", ended once", death{1, true})
				k.dies(v, trigger, phase+", canceled once", death{1, false})
			}
			k.dies(v, killPhases["at the commit"], "ended always", death{1000, true})
			k.dies(v, killPhases["before the row"], "canceled always", death{1000, false})
		})
	}
}

// dies makes a call while sessions meet such an end, and once more.
func (k *killable) dies(v killedVerb, trigger, how string, d death) {
	k.open()
	exec(k, k.pool, emptySQL)
	call, done := v.prepare(k)
	exec(k, k.pool, fmt.Sprintf(trigger, v.on, v.table))
	exec(k, k.pool, `UPDATE public.death SET most = $1, fatal = $2`, d.most, d.fatal)
	exec(k, k.pool, `ALTER SEQUENCE public.deaths RESTART`)
	err := call()
	exec(k, k.pool, `DROP TRIGGER kills ON dormouse.`+v.table)
	var deaths int
	must(k, k.pool.QueryRow(k.Context(), `SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM public.deaths`).Scan(&deaths))
	if deaths == 0 {
		k.Errorf("%s: nothing was interrupted: %v", how, err)
	}
	if err != nil && (d.fatal != errors.Is(err, lifecycle.ErrUnavailable) || queue.IsAnswer(err)) {
		k.Errorf("%s: %v", how, err)
	}
	if err != nil || d.most > 1 {
		if !d.fatal && d.most > 1 { // a row whose writing is always canceled is taken for one that the host refuses, for a minute
			k.open()
		}
		if again := call(); again != nil {
			k.Errorf("%s: %v, and again: %v", how, err, again)
		}
	}
	if wrong := done(); wrong != nil {
		k.Errorf("%s: %v, and then %v", how, err, wrong)
	}
}

// open makes a store as another process has it.
func (k *killable) open() {
	s, err := postgres.New(k.pool, quiet)
	must(k, err)
	k.Store = s
}
