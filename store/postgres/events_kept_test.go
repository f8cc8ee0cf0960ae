package postgres_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store/postgres"
	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
)

// eventRefusals are how a host keeps events of which a condition is true from being changed.
var eventRefusals = map[string]string{
	"raises":       eventTrigger(`RAISE 'kept by the host'`),
	"fails":        eventTrigger(`PERFORM 1 / (SELECT 0)`),
	"says nothing": eventTrigger(`RETURN NULL`),
	"at the commit": `CREATE FUNCTION keeps() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'kept by the host'; END $$;
		CREATE CONSTRAINT TRIGGER host AFTER UPDATE ON dormouse.events DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (%s) EXECUTE FUNCTION keeps()`,
}

func eventTrigger(refusal string) string {
	return `CREATE FUNCTION keeps() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ` + refusal + `; RETURN NULL; END $$;
		CREATE TRIGGER host BEFORE UPDATE ON dormouse.events FOR EACH ROW WHEN (%s) EXECUTE FUNCTION keeps()`
}

// An event that the host keeps from being claimed keeps no other workspace's, however many of them stand in front, and is named. Those
// behind it in its workspace wait for it.
func TestClaimsBesideEventsThatTheHostKeeps(t *testing.T) {
	pool := pgtest.Pool(t)
	for how, refusal := range eventRefusals {
		t.Run(how, func(t *testing.T) {
			exec(t, pool, letGoSQL)
			exec(t, pool, `TRUNCATE dormouse.events`)
			var log bytes.Buffer
			s, err := postgres.New(pool, postgres.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
			must(t, err)
			must(t, s.Migrate(t.Context()))
			const kept, others, limit = 7, 8, 3
			var seqs []int64
			for range kept + others {
				workspace := uuid.New()
				for range 2 {
					var seq int64
					must(t, pool.QueryRow(t.Context(), `INSERT INTO dormouse.events (workspace_id, topic, body) VALUES ($1, $2, '{}') RETURNING seq`,
						workspace, int16(lifecycle.TopicAudit)).Scan(&seq))
					seqs = append(seqs, seq)
				}
			}
			last := seqs[2*kept-1]
			exec(t, pool, fmt.Sprintf(refusal, fmt.Sprintf("old.seq <= %d", last)))
			now := epoch
			claim := func() (got []int64) {
				t.Helper()
				events, err := s.ClaimEvents(soon(t), now, []lifecycle.Topic{lifecycle.TopicAudit}, time.Hour, limit)
				must(t, err)
				for _, e := range events {
					if e.Attempt != 1 {
						t.Errorf("event %d is claimed for the %d. time", e.Seq, e.Attempt)
					}
					got = append(got, e.Seq)
				}
				if !slices.IsSorted(got) {
					t.Errorf("claimed %d", got)
				}
				return got
			}
			claimAll := func() (got []int64) {
				t.Helper()
				for more := claim(); len(more) > 0; more = claim() {
					got = append(got, more...)
				}
				slices.Sort(got)
				return got
			}
			firsts := func(from, to int) (want []int64) {
				for i := from; i < to; i++ {
					want = append(want, seqs[2*i])
				}
				return want
			}
			if got := claim(); len(got) != limit {
				t.Errorf("the first claim got %d, want %d of them", got, limit)
			}
			if got := claimAll(); len(got) != others-limit || len(got) > 0 && got[0] <= last {
				t.Errorf("then are claimed %d", got)
			}
			if said := log.String(); !strings.Contains(said, "events cannot be claimed") || !strings.Contains(said, fmt.Sprint(seqs[0])) {
				t.Errorf("log: %s", said)
			}
			exec(t, pool, letGoSQL)
			now = now.Add(2 * time.Minute)
			if got, want := claimAll(), firsts(0, kept); !slices.Equal(got, want) {
				t.Errorf("afterwards are claimed %d, want %d", got, want)
			}
		})
	}
}

// An event that the host keeps from being settled keeps no other from it, and is named. One that is gone is nobody's fault.
func TestSettleBesideAnEventThatTheHostKeeps(t *testing.T) {
	pool := pgtest.Pool(t)
	for on, retryAt := range map[string]time.Time{"DELETE": {}, "UPDATE": epoch.Add(time.Hour)} {
		for how, refusal := range refusals {
			t.Run(on+" "+how, func(t *testing.T) {
				exec(t, pool, letGoSQL)
				exec(t, pool, `TRUNCATE dormouse.events`)
				var log bytes.Buffer
				s, err := postgres.New(pool, postgres.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
				must(t, err)
				rows, err := pool.Query(t.Context(), `INSERT INTO dormouse.events (workspace_id, topic, body, attempt, free_at)
					SELECT gen_random_uuid(), $1, '{}', 1, $2 FROM generate_series(1, 5) RETURNING seq`, int16(lifecycle.TopicAudit), epoch)
				must(t, err)
				seqs, err := pgx.CollectRows(rows, pgx.RowTo[int64])
				must(t, err)
				kept, gone := seqs[2], seqs[4]
				exec(t, pool, `DELETE FROM dormouse.events WHERE seq = $1`, gone)
				exec(t, pool, hostTrigger(on, "events", fmt.Sprintf("old.seq = %d", kept), refusal))
				var deliveries []lifecycle.Delivery
				for _, seq := range seqs {
					deliveries = append(deliveries, lifecycle.Delivery{Seq: seq, RetryAt: retryAt})
				}
				must(t, s.SettleEvents(soon(t), epoch, deliveries))
				rows, err = pool.Query(t.Context(), `SELECT seq FROM dormouse.events WHERE free_at = $1`, epoch)
				must(t, err)
				left, err := pgx.CollectRows(rows, pgx.RowTo[int64])
				must(t, err)
				if !slices.Equal(left, []int64{kept}) {
					t.Errorf("not settled are %d, want %d", left, kept)
				}
				said := log.String()
				if !strings.Contains(said, fmt.Sprintf("seq=%d ", kept)) || strings.Count(said, "seq=") != 1 ||
					!strings.Contains(said, "kept by the host") && !strings.Contains(said, "a trigger keeps") {
					t.Errorf("log: %s", said)
				}
			})
		}
	}
	exec(t, pool, letGoSQL)
}
