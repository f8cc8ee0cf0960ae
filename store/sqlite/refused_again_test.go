package sqlite_test

import (
	"database/sql"
	"encoding/hex"
	"errors"
	"log/slog"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store/sqlite"
)

// counting is a store whose transactions that write are counted, and of their statements those that have some words in them.
type counting struct {
	*pruned
	words         string
	writes, tries int
}

func newCounting(t *testing.T, words string) *counting {
	_, d, path := faulty(t)
	c := &counting{pruned: &pruned{T: t, db: openFile(t, path)}, words: words}
	db := sql.OpenDB(faultyConnector{d, path})
	t.Cleanup(func() { must(t, db.Close()) })
	var err error
	c.s, err = sqlite.New(db, sqlite.Config{Logger: slog.New(slog.NewTextHandler(&c.log, nil))})
	must(t, err)
	must(t, c.s.Migrate(t.Context()))
	d.meanwhile(func(text string) error {
		switch {
		case strings.HasPrefix(text, "PREPARE"):
		case strings.Contains(text, "UPDATE dormouse_migrations"):
			c.writes++
		case strings.Contains(text, c.words):
			c.tries++
		}
		return nil
	})
	return c
}

// looks makes a call several times after the first one, and sees that it tries what is refused, and says so, with each of them that comes a
// minute after the last that has.
func (c *counting) looks(said string, call func(now time.Time)) {
	c.Helper()
	for _, look := range []struct {
		after time.Duration
		tries bool
	}{{0, true}, {30 * time.Second, false}, {59 * time.Second, false}, {time.Minute, true}, {61 * time.Second, false}} {
		c.writes, c.tries = 0, 0
		c.log.Reset()
		call(killEpoch.Add(look.after))
		if tried := c.tries > 0; tried != look.tries || strings.Contains(c.log.String(), said) != look.tries {
			c.Errorf("after %v: tried %d times in %d transactions, log %q", look.after, c.tries, c.writes, c.log.String())
		}
		if !look.tries && c.writes > 0 {
			c.Errorf("after %v: %d transactions that write nothing", look.after, c.writes)
		}
	}
}

// Jobs that are refused are tried once a minute, however many stand at the head of the line.
func TestRefusedJobsAreTriedOnceAMinute(t *testing.T) {
	for name, limits := range map[string]queue.Limits{"free": {}, "limited": {PerTenant: 100}} {
		t.Run(name, func(t *testing.T) {
			c := newCounting(t, "SET state = 2, started_at")
			const kept = 20
			process, org := uuid.New(), uuid.New()
			_, err := c.s.Heartbeat(t.Context(), queue.Heartbeat{Process: process, Now: killEpoch})
			must(t, err)
			jobs, err := c.s.Enqueue(t.Context(), killEpoch, slices.Repeat([]queue.Posting{{Organization: org, Tenant: uuid.New(), Type: "build"}}, kept+4))
			must(t, err)
			c.exec(`CREATE TRIGGER host BEFORE UPDATE ON dormouse_jobs WHEN old.line < ` + lineOf(t, c.db, jobs[kept].ID) + ` BEGIN SELECT RAISE(ABORT, 'kept'); END`)
			for i, after := range []time.Duration{0, 59 * time.Second, time.Minute, 61 * time.Second} {
				c.writes, c.tries = 0, 0
				c.log.Reset()
				claimed, err := c.s.Claim(t.Context(), queue.Claim{
					Token: uuid.New(), Process: process, Now: killEpoch.Add(after), Workers: []uuid.UUID{uuid.New()}, Secrets: []queue.SecretHash{queue.NewSecret().Hash()},
					Limits: limits, Probes: []queue.Probe{{Lane: jobs[0].Lane()}},
				})
				must(t, err)
				if len(claimed.Jobs) != 1 || claimed.Jobs[0].ID != jobs[kept+i].ID {
					t.Errorf("after %v claimed %v, want the next one that is not kept", after, idsOf(claimed.Jobs))
				}
				again := i%2 == 0
				if said := strings.Contains(c.log.String(), "cannot be handed out"); said != again {
					t.Errorf("after %v the log is %q", after, c.log.String())
				}
				if !again && (c.writes != 1 || c.tries != 1) {
					t.Errorf("after %v: %d transactions and %d tries, want one job that is started in one", after, c.writes, c.tries)
				}
			}
		})
	}
}

func lineOf(t *testing.T, db *sql.DB, job uuid.UUID) (line string) {
	t.Helper()
	must(t, db.QueryRowContext(t.Context(), `SELECT line FROM dormouse_jobs WHERE id = ?`, job[:]).Scan(&line))
	return line
}

// A job that may not turn ready has a look write once a minute, not each time.
func TestJobThatMayNotTurnReadyIsTriedOnceAMinute(t *testing.T) {
	c := newCounting(t, "SET state = 0, line = max(")
	jobs, err := c.s.Enqueue(t.Context(), killEpoch, slices.Repeat([]queue.Posting{{Organization: uuid.New(), Type: "build", NotBefore: killEpoch.Add(time.Microsecond)}}, 3))
	must(t, err)
	c.exec(`CREATE TRIGGER host BEFORE UPDATE ON dormouse_jobs WHEN old.id = x'` + hex.EncodeToString(jobs[1].ID[:]) + `' BEGIN SELECT RAISE(IGNORE); END`)
	c.looks("cannot turn ready", func(now time.Time) {
		listing, err := c.s.Ready(t.Context(), now.Add(time.Second), queue.ReadyQuery{CountTo: 10})
		must(t, err)
		if len(listing.Lanes) != 1 || listing.Lanes[0].Count != 2 {
			t.Errorf("ready: %+v", listing.Lanes)
		}
	})
	_, err = c.s.Enqueue(t.Context(), killEpoch, []queue.Posting{{Organization: uuid.New(), Type: "build", NotBefore: killEpoch.Add(time.Microsecond)}})
	must(t, err)
	listing, err := c.s.Ready(t.Context(), killEpoch.Add(70*time.Second), queue.ReadyQuery{CountTo: 10})
	if err != nil || len(listing.Lanes) != 2 {
		t.Errorf("one that is due beside it: %+v, %v", listing.Lanes, err)
	}
}

// An event that may not be claimed has a relay write once a minute, not each time it looks.
func TestEventThatMayNotBeClaimedIsTriedOnceAMinute(t *testing.T) {
	c := newCounting(t, "SET attempt = attempt + 1")
	c.twoEventsEach(2)
	c.exec(keepEvents("UPDATE", "old.seq = 1", refusals["raises"]))
	limit := 5
	claim := func(now time.Time) []int64 {
		events, err := c.s.ClaimEvents(t.Context(), now, []lifecycle.Topic{lifecycle.TopicAudit}, time.Hour, limit)
		must(t, err)
		var seqs []int64
		for _, e := range events {
			seqs = append(seqs, e.Seq)
		}
		return seqs
	}
	first := []int64{3}
	c.looks("cannot be claimed", func(now time.Time) {
		if got := claim(now); !slices.Equal(got, first) {
			t.Errorf("claimed %d, want %d", got, first)
		}
		first = nil
	})
	c.twoEventsEach(1)
	limit = math.MaxInt // as good as none
	if got := claim(killEpoch.Add(70 * time.Second)); !slices.Equal(got, []int64{5}) {
		t.Errorf("without a limit claimed %d beside one that is passed over", got)
	}
	c.exec(`DROP TRIGGER host_UPDATE`)
	if got := claim(killEpoch.Add(3 * time.Minute)); !slices.Equal(got, []int64{1}) {
		t.Errorf("afterwards claimed %d", got)
	}
}

// Where everything is refused, a claim does not try the whole line: it ends, and the next one goes on behind what it has tried.
func TestClaimWhereEverythingIsRefused(t *testing.T) {
	for _, how := range []string{"raises", "refers to nothing at the commit"} {
		t.Run(how, func(t *testing.T) {
			k := &keptJobs{pruned: newPruned(t), process: uuid.New()}
			const kept = 1150
			_, err := k.s.Heartbeat(t.Context(), queue.Heartbeat{Process: k.process, Now: killEpoch})
			must(t, err)
			k.jobs, err = k.s.Enqueue(t.Context(), killEpoch, slices.Repeat([]queue.Posting{{Organization: uuid.New(), Tenant: uuid.New(), Type: "build"}}, kept+1))
			must(t, err)
			k.exec(`CREATE TRIGGER host BEFORE UPDATE ON dormouse_jobs WHEN old.line < ` + lineOf(t, k.db, k.jobs[kept].ID) + ` BEGIN ` + refusals[how] + `; END`)
			for i, want := range []string{"rows=1000", "rows=150"} {
				k.log.Reset()
				c := queue.Claim{Token: uuid.New(), Process: k.process, Now: killEpoch, Probes: []queue.Probe{{Lane: k.jobs[0].Lane()}}}
				for range 100 {
					c.Workers, c.Secrets = append(c.Workers, uuid.New()), append(c.Secrets, queue.NewSecret().Hash())
				}
				claimed, err := k.s.Claim(t.Context(), c)
				must(t, err)
				if len(claimed.Jobs) != i || !strings.Contains(k.log.String(), want) {
					t.Errorf("claim %d got %d jobs and says %s, want %d and %s", i, len(claimed.Jobs), k.log.String(), i, want)
				}
			}
		})
	}
}

// A database in memory is gone with its connection, which is kept when the host ends a transaction in its own way.
func TestRefusalsInMemory(t *testing.T) {
	for how, refusal := range refusals {
		t.Run(how, func(t *testing.T) {
			db := openFile(t, ":memory:")
			db.SetMaxOpenConns(1)
			s := migrated(t, db)
			_, err := db.ExecContext(t.Context(), hostTables+`; CREATE TRIGGER host BEFORE INSERT ON dormouse_owners WHEN new.name = 'kept' BEGIN `+refusal+`; END`)
			must(t, err)
			ann := uuid.New()
			must(t, s.PutOwner(t.Context(), killEpoch, lifecycle.Owner{ID: ann, Name: "ann"}))
			if err := s.PutOwner(t.Context(), killEpoch, lifecycle.Owner{ID: uuid.New(), Name: "kept"}); err == nil || errors.Is(err, lifecycle.ErrUnavailable) {
				t.Errorf("beside a trigger: %v", err)
			}
			if found, err := s.Owners(t.Context(), lifecycle.OwnerQuery{Limit: 5}); err != nil || len(found) != 1 || found[0].ID != ann {
				t.Errorf("afterwards: %v, %v", found, err)
			}
		})
	}
}
