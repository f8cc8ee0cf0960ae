package postgres_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store/postgres"
	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
)

// rowRefusals are how a host keeps one row of dormouse.jobs from being changed: %[1]s is UPDATE or DELETE, %[2]s the id.
var rowRefusals = map[string]string{
	"a trigger raises":    rowTrigger(`RAISE 'kept by the host'`),
	"a trigger fails":     rowTrigger(`PERFORM 1 / (SELECT 0)`),
	"a trigger is denied": rowTrigger(`RAISE insufficient_privilege USING MESSAGE = 'kept by the host'`),
	"a trigger takes longer than statement_timeout": rowTrigger(`RAISE query_canceled USING MESSAGE = 'kept by the host'`),
	"a trigger says no row":                         rowTrigger(`RETURN NULL`),
	"a trigger at the end of the transaction": `CREATE FUNCTION keeps() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'kept by the host'; END $$;
		CREATE CONSTRAINT TRIGGER host AFTER %[1]s ON dormouse.jobs DEFERRABLE INITIALLY DEFERRED
		FOR EACH ROW WHEN (old.id = '%[2]s') EXECUTE FUNCTION keeps()`,
	"a constraint": `ALTER TABLE dormouse.jobs ADD CONSTRAINT kept CHECK (id <> '%[2]s') NOT VALID;
		CREATE TABLE public.kept (job uuid REFERENCES dormouse.jobs); INSERT INTO public.kept VALUES ('%[2]s') -- %[1]s`,
}

func rowTrigger(refusal string) string {
	return `CREATE FUNCTION keeps() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ` + refusal + `; RETURN NULL; END $$;
		CREATE TRIGGER host BEFORE %[1]s ON dormouse.jobs FOR EACH ROW WHEN (old.id = '%[2]s') EXECUTE FUNCTION keeps()`
}

// letGoSQL ends every refusal.
const letGoSQL = `
	DROP FUNCTION IF EXISTS keeps CASCADE;
	ALTER TABLE dormouse.jobs DROP CONSTRAINT IF EXISTS kept;
	DROP TABLE IF EXISTS public.kept`

// refusedJobs are jobs of one organization, of which the host keeps the first one in line.
type refusedJobs struct {
	t       *testing.T
	s       *postgres.Store
	pool    *pgxpool.Pool
	log     bytes.Buffer
	process uuid.UUID
	jobs    []queue.Job
	now     time.Time
	// named are those that the last claim or listing names as refused.
	named []queue.Refusal
}

func newRefusedJobs(t *testing.T, pool *pgxpool.Pool) *refusedJobs {
	k := &refusedJobs{t: t, pool: pool, process: uuid.New(), now: epoch}
	exec(t, pool, letGoSQL)
	exec(t, pool, emptySQL)
	var err error
	k.s, err = postgres.New(pool, postgres.Config{Logger: slog.New(slog.NewTextHandler(&k.log, nil))})
	must(t, err)
	_, err = k.s.Heartbeat(t.Context(), queue.Heartbeat{Process: k.process, Now: epoch})
	must(t, err)
	return k
}

// post stores a job for each type, each ready from one time on, in line as they are given.
func (k *refusedJobs) post(notBefore time.Time, types ...string) {
	k.t.Helper()
	org, tenant := uuid.New(), uuid.New()
	var postings []queue.Posting
	for _, kind := range types {
		postings = append(postings, queue.Posting{ID: uuid.New(), Organization: org, Tenant: tenant, Type: kind, NotBefore: notBefore})
	}
	var err error
	k.jobs, err = k.s.Enqueue(k.t.Context(), k.now, postings)
	must(k.t, err)
}

// claim claims so many jobs of the lanes.
func (k *refusedJobs) claim(workers int, limits queue.Limits) []queue.Job {
	k.t.Helper()
	c := queue.Claim{Token: uuid.New(), Process: k.process, Now: k.now, Limits: limits}
	secrets := map[queue.SecretHash]queue.Secret{}
	for range workers {
		secret := queue.NewSecret()
		secrets[secret.Hash()] = secret
		c.Workers, c.Secrets = append(c.Workers, uuid.New()), append(c.Secrets, secret.Hash())
	}
	for _, j := range k.jobs {
		if !slices.ContainsFunc(c.Probes, func(p queue.Probe) bool { return p.Lane == j.Lane() }) {
			c.Probes = append(c.Probes, queue.Probe{Lane: j.Lane()})
		}
	}
	claimed, err := k.s.Claim(soon(k.t), c)
	must(k.t, err)
	k.named = claimed.Refused
	for i := range claimed.Jobs {
		j := &claimed.Jobs[i]
		if j.Worker != c.Workers[i] || j.State != queue.Running {
			k.t.Errorf("the job for worker %d is %+v", i, j)
		}
		j.Secret = secrets[j.SecretHash]
	}
	return claimed.Jobs
}

// run has all jobs running.
func (k *refusedJobs) run() {
	k.t.Helper()
	k.post(time.Time{}, "build", "build", "build", "build")
	k.jobs = k.claim(len(k.jobs), queue.Limits{})
}

// end ends all jobs.
func (k *refusedJobs) end() {
	k.t.Helper()
	k.run()
	_, _ = k.ended(queue.OutcomeFailed)
}

func (k *refusedJobs) ended(outcome queue.Outcome) (done []uuid.UUID, refused error) {
	var ends []queue.End
	for _, j := range k.jobs {
		ends = append(ends, queue.End{Handout: j.Handout(), Outcome: outcome})
	}
	answers, err := k.s.End(soon(k.t), k.now, ends)
	must(k.t, err)
	for i, a := range answers {
		if a.Err == nil {
			done = append(done, k.jobs[i].ID)
		}
		refused = errors.Join(refused, a.Err)
	}
	return done, refused
}

func (k *refusedJobs) renewed() (done []uuid.UUID, refused error) {
	var renewals []queue.Renewal
	for _, j := range k.jobs {
		renewals = append(renewals, queue.Renewal{Handout: j.Handout(), Process: k.process, Lines: []queue.Line{{At: k.now, Text: "on it"}}})
	}
	answers, err := k.s.Renew(soon(k.t), k.now, renewals)
	must(k.t, err)
	for i, a := range answers {
		lines, err := k.s.Lines(k.t.Context(), k.jobs[i].ID, 0, 10)
		must(k.t, err)
		if a.Err == nil {
			done = append(done, k.jobs[i].ID)
		}
		if (a.Err == nil) != (len(lines) == 1) {
			k.t.Errorf("the log of the job whose renewal is answered with %v has %d lines", a.Err, len(lines))
		}
		refused = errors.Join(refused, a.Err)
	}
	return done, refused
}

// is are the jobs for which something holds.
func (k *refusedJobs) is(condition string) []uuid.UUID {
	k.t.Helper()
	rows, err := k.pool.Query(k.t.Context(), `SELECT id FROM dormouse.jobs WHERE `+condition)
	must(k.t, err)
	var done []uuid.UUID
	for rows.Next() {
		var id [16]byte
		must(k.t, rows.Scan(&id))
		done = append(done, id)
	}
	must(k.t, rows.Err())
	return done
}

func jobIDs(jobs []queue.Job) (ids []uuid.UUID) {
	for _, j := range jobs {
		ids = append(ids, j.ID)
	}
	return ids
}

// jobVerbs are what changes several jobs at once. do returns those that it changed, and what it says of the one that it did not
// change; nil: the log says it.
var jobVerbs = map[string]struct {
	on      string
	prepare func(k *refusedJobs)
	do      func(k *refusedJobs) (done []uuid.UUID, refused error)
	// whole: what cannot be done for all is done for none.
	whole bool
}{
	"claim of a lane": {
		on: "UPDATE", prepare: func(k *refusedJobs) { k.post(time.Time{}, "build", "build", "build", "build") },
		do: func(k *refusedJobs) ([]uuid.UUID, error) { return jobIDs(k.claim(4, queue.Limits{})), nil },
	},
	"claim of lanes": {
		on: "UPDATE", prepare: func(k *refusedJobs) { k.post(time.Time{}, "build", "build", "test", "test") },
		do: func(k *refusedJobs) ([]uuid.UUID, error) { return jobIDs(k.claim(4, queue.Limits{})), nil },
	},
	"claim within limits": {
		on: "UPDATE", prepare: func(k *refusedJobs) { k.post(time.Time{}, "build", "build", "test", "test") },
		do: func(k *refusedJobs) ([]uuid.UUID, error) {
			return jobIDs(k.claim(3, queue.Limits{PerTenant: 4 - len(k.jobs)/4})), nil // the limit of 3 is one more afterwards
		},
	},
	"turning ready": {
		on: "UPDATE", prepare: func(k *refusedJobs) { k.post(epoch.Add(time.Second), "build", "build", "build", "build") },
		do: func(k *refusedJobs) ([]uuid.UUID, error) {
			listing, err := k.s.Ready(soon(k.t), k.now.Add(time.Second), queue.ReadyQuery{})
			must(k.t, err)
			k.named = listing.Refused
			return k.is("ready"), nil
		},
	},
	"renewal": {on: "UPDATE", prepare: (*refusedJobs).run, do: (*refusedJobs).renewed},
	"end": {on: "UPDATE", prepare: (*refusedJobs).run, do: func(k *refusedJobs) ([]uuid.UUID, error) {
		return k.ended(queue.OutcomeSucceeded)
	}},
	"requeuing": {on: "UPDATE", prepare: (*refusedJobs).run, do: func(k *refusedJobs) ([]uuid.UUID, error) {
		return k.ended(queue.OutcomeRequeued)
	}},
	"change of worker": {on: "UPDATE", prepare: (*refusedJobs).run, do: func(k *refusedJobs) (done []uuid.UUID, refused error) {
		var moves []queue.Reassignment
		for _, j := range k.jobs {
			moves = append(moves, queue.Reassignment{Lease: j.Lease(), Process: k.process, Worker: uuid.New()})
		}
		accepted, err := k.s.Reassign(soon(k.t), moves)
		must(k.t, err)
		for i, ok := range accepted {
			if ok {
				done = append(done, k.jobs[i].ID)
			} else {
				refused = fmt.Errorf("job %s is kept", k.jobs[i].ID) // there is no more to an answer
			}
		}
		return done, refused
	}},
	"expiry": {
		on: "UPDATE", prepare: func(k *refusedJobs) { k.post(time.Time{}, "build", "build", "build", "build") },
		do: func(k *refusedJobs) ([]uuid.UUID, error) {
			changed, err := k.s.Cancel(soon(k.t), queue.Cancellation{Now: k.now, IDs: jobIDs(k.jobs), Expire: true})
			must(k.t, err)
			return jobIDs(changed), nil
		},
	},
	"pruning": {
		on: "DELETE", prepare: (*refusedJobs).end,
		do: func(k *refusedJobs) ([]uuid.UUID, error) {
			n, err := k.s.PruneJobs(soon(k.t), k.now.Add(time.Hour), 100)
			must(k.t, err)
			left := k.is("true")
			if n+len(left) != len(k.jobs) && n != 1 {
				k.t.Errorf("%d are deleted, %d are left", n, len(left))
			}
			return slices.DeleteFunc(jobIDs(k.jobs), func(id uuid.UUID) bool { return slices.Contains(left, id) }), nil
		},
	},
	"cancellation": {
		on: "UPDATE", prepare: (*refusedJobs).run, whole: true,
		do: func(k *refusedJobs) ([]uuid.UUID, error) {
			changed, err := k.s.Cancel(soon(k.t), queue.Cancellation{Now: k.now, IDs: jobIDs(k.jobs)})
			return jobIDs(changed), err
		},
	},
	"retry": {
		on: "UPDATE", prepare: (*refusedJobs).end, whole: true,
		do: func(k *refusedJobs) ([]uuid.UUID, error) {
			changed, err := k.s.RetryJobs(soon(k.t), queue.Retry{Now: k.now, IDs: jobIDs(k.jobs)})
			return jobIDs(changed), err
		},
	},
}

// A job that the host keeps from being changed keeps no other from it, and is named. When the host lets it go, it is done, too.
func TestJobsBesideOneThatTheHostKeeps(t *testing.T) {
	pool := pgtest.Pool(t)
	for what, verb := range jobVerbs {
		for how, refusal := range rowRefusals {
			t.Run(what+"/"+how, func(t *testing.T) {
				k := newRefusedJobs(t, pool)
				verb.prepare(k)
				kept, others := k.jobs[0].ID, jobIDs(k.jobs[1:])
				exec(t, pool, fmt.Sprintf(refusal, verb.on, kept))
				done, refused := verb.do(k)
				said := k.log.String()
				if refused != nil {
					said = refused.Error()
					if errors.Is(refused, lifecycle.ErrUnavailable) || queue.IsAnswer(refused) {
						t.Errorf("refused with %v", refused)
					}
				}
				want := others
				if verb.whole {
					want = nil
				}
				if !sameIDs(done, want) {
					t.Errorf("done: %v, want %v", done, want)
				}
				if names := strings.HasPrefix(what, "claim") || what == "turning ready"; names != (len(k.named) == 1) ||
					names && (k.named[0].Job != kept || k.named[0].Why == "" || k.named[0].Again.Before(k.now.Add(time.Minute))) {
					t.Errorf("named: %+v", k.named)
				}
				if (verb.whole || refused == nil) && !strings.Contains(said, kept.String()) {
					t.Errorf("job %s is not named: %s", kept, said)
				}
				exec(t, pool, letGoSQL)
				k.now = k.now.Add(2 * time.Minute)
				k.jobs = k.jobs[:1]
				if done, err := verb.do(k); err != nil || what != "turning ready" && !sameIDs(done, []uuid.UUID{kept}) || !slices.Contains(done, kept) {
					t.Errorf("afterwards done: %v, %v", done, err)
				}
				if len(k.named) > 0 {
					t.Errorf("afterwards named: %+v", k.named)
				}
			})
		}
	}
}

func sameIDs(a, b []uuid.UUID) bool {
	sorted := func(ids []uuid.UUID) []uuid.UUID {
		return slices.SortedFunc(slices.Values(ids), func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	}
	return slices.Equal(sorted(a), sorted(b))
}

// A trigger that takes its time over one job holds up the claim that gets it, and no claim and no listing beside that one.
func TestClaimsBesideAJobThatTakesTime(t *testing.T) {
	k := newRefusedJobs(t, pgtest.Pool(t))
	k.post(time.Time{}, "build", "build", "build")
	exec(t, k.pool, fmt.Sprintf(rowTrigger(`PERFORM pg_advisory_xact_lock(7); RETURN new`), "UPDATE", k.jobs[0].ID))
	release := holds(t, k.pool, `SELECT pg_advisory_xact_lock(7)`)
	first := make(chan error, 1)
	var got queue.Claimed
	c := queue.Claim{
		Token: uuid.New(), Process: k.process, Now: k.now, Workers: []uuid.UUID{uuid.New()}, Secrets: []queue.SecretHash{queue.NewSecret().Hash()},
		Probes: []queue.Probe{{Lane: k.jobs[0].Lane()}},
	}
	go func() {
		var err error
		got, err = k.s.Claim(t.Context(), c)
		first <- err
	}()
	untilWaiting(t, k.pool, first)
	listing, err := k.s.Ready(soon(t), k.now, queue.ReadyQuery{CountTo: 5})
	must(t, err)
	if len(listing.Lanes) != 1 || listing.Lanes[0].Count != 3 {
		t.Errorf("beside it are listed %+v", listing.Lanes)
	}
	if beside := jobIDs(k.claim(3, queue.Limits{})); !slices.Equal(beside, jobIDs(k.jobs[1:])) || len(first) > 0 {
		t.Errorf("beside it are claimed %v", beside)
	}
	release()
	if err := <-first; err != nil || !slices.Equal(jobIDs(got.Jobs), jobIDs(k.jobs[:1])) {
		t.Errorf("the first claim got %+v, %v", got, err)
	}
}

// Jobs that are refused are tried once, however many stand at the head of the line and whoever claims, and again after a minute.
func TestRefusedJobsAreTriedOnceAMinute(t *testing.T) {
	for name, limits := range map[string]queue.Limits{"free": {}, "limited": {PerTenant: 100}} {
		t.Run(name, func(t *testing.T) {
			k := newRefusedJobs(t, pgtest.Pool(t))
			const kept = 20
			k.post(time.Time{}, slices.Repeat([]string{"build"}, kept+3)...)
			exec(t, k.pool, `CREATE SEQUENCE public.tries`) // a rollback does not set it back
			exec(t, k.pool, `CREATE TABLE public.kept_jobs AS SELECT id FROM dormouse.jobs ORDER BY place, id LIMIT `+fmt.Sprint(kept))
			exec(t, k.pool, `CREATE FUNCTION keeps() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
				IF EXISTS (SELECT FROM public.kept_jobs WHERE id = old.id) THEN PERFORM nextval('public.tries'); RAISE 'kept by the host'; END IF; RETURN new; END $$;
				CREATE TRIGGER host BEFORE UPDATE ON dormouse.jobs FOR EACH ROW EXECUTE FUNCTION keeps()`)
			var before int
			for _, c := range []struct {
				after time.Duration
				tried bool
			}{{0, true}, {59 * time.Second, false}, {61 * time.Second, true}} {
				k.now = epoch.Add(c.after)
				if got := k.claim(1, limits); len(got) != 1 {
					t.Errorf("after %v claimed %d jobs", c.after, len(got))
				}
				var tries int
				must(t, k.pool.QueryRow(t.Context(), `SELECT last_value FROM public.tries`).Scan(&tries))
				if (tries > before) != c.tried || tries-before > 2*kept {
					t.Errorf("after %v they were tried %d times", c.after, tries-before)
				}
				before = tries
			}
			if n := strings.Count(k.log.String(), "cannot be handed out"); n != 2 {
				t.Errorf("said %d times: %s", n, k.log.String())
			}
		})
	}
}

// Where everything is refused, a claim does not try the whole line: it ends, and the next one goes on behind what it has tried.
func TestClaimWhereEverythingIsRefused(t *testing.T) {
	k := newRefusedJobs(t, pgtest.Pool(t))
	const kept = 1150
	k.post(time.Time{}, slices.Repeat([]string{"build"}, kept+1)...)
	exec(t, k.pool, `CREATE TABLE public.kept_jobs AS SELECT id FROM dormouse.jobs ORDER BY place, id LIMIT `+fmt.Sprint(kept))
	exec(t, k.pool, `CREATE FUNCTION keeps() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		IF EXISTS (SELECT FROM public.kept_jobs WHERE id = old.id) THEN RAISE 'kept by the host'; END IF; RETURN new; END $$;
		CREATE TRIGGER host BEFORE UPDATE ON dormouse.jobs FOR EACH ROW EXECUTE FUNCTION keeps()`)
	for i, want := range []string{"rows=1000", "rows=150"} {
		k.log.Reset()
		if got := k.claim(100, queue.Limits{}); len(got) != i {
			t.Errorf("claim %d got %d jobs, want %d", i, len(got), i)
		}
		if !strings.Contains(k.log.String(), want) {
			t.Errorf("claim %d says %s, want %s", i, k.log.String(), want)
		}
	}
}

// A statement that the server does not understand, or that the role may not make, is nobody's row's fault: the claim fails, and passes over
// nothing.
func TestClaimThatNoRowIsToBlameFor(t *testing.T) {
	s, pool := open(t)
	claim := newLine(t, s, 3)
	exec(t, pool, `ALTER TABLE dormouse.jobs RENAME COLUMN started_at TO elsewhere`)
	t.Cleanup(func() { exec(t, pool, `ALTER TABLE dormouse.jobs RENAME COLUMN elsewhere TO started_at`) })
	claim.Token, claim.Workers = uuid.New(), []uuid.UUID{uuid.New()}
	if claimed, err := s.Claim(t.Context(), claim); err == nil {
		t.Errorf("claimed %d jobs, and no error", len(claimed.Jobs))
	}
}
