package postgres_test

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/store/postgres"
	"github.com/dormouse-go/dormouse/store/storetest"
)

func TestCarrier(t *testing.T) {
	storetest.Carrier(t, func(t *testing.T) (queue.Store, queue.Pubsub) {
		s, pool := open(t)
		return s, newPubsub(t, pool, postgres.Config{})
	})
}

type poster interface {
	Enqueue(ctx context.Context, now time.Time, postings []queue.Posting) ([]queue.Job, error)
}

// posted stores a job with a message and returns it.
func posted(t *testing.T, s poster, bus *postgres.Pubsub, tenant uuid.UUID) queue.Job {
	t.Helper()
	p := queue.Posting{ID: uuid.New(), Organization: uuid.UUID{1}, Tenant: tenant, Type: "build"}
	jobs, err := s.Enqueue(bus.Carry(soon(t), []string{"carried"}), epoch, []queue.Posting{p})
	must(t, err)
	return jobs[0]
}

// The number in a message lies behind the tenant's last job: from there on a claim passes no dead entries of the index.
func TestNumberOfACarriedMessage(t *testing.T) {
	s, pool := open(t)
	bus := newPubsub(t, pool, postgres.Config{})
	received, _ := listening(t, bus)
	p := queue.Posting{Organization: uuid.New(), Tenant: uuid.New(), Type: "build"}
	var last int64
	for range 3 {
		jobs, err := s.Enqueue(bus.Carry(soon(t), []string{"", ""}), epoch, []queue.Posting{p})
		must(t, err)
		received.expect(t, strconv.FormatInt(last+1, 10))
		last = jobs[0].Order
	}
}

// A message is not sent by a store of another schema or pool, nor in a transaction of the host, which may last; the jobs are stored.
func TestMessagesThatAreNotCarried(t *testing.T) {
	s, pool := open(t)
	bus := newPubsub(t, pool, postgres.Config{})
	received, _ := listening(t, bus)
	elsewhere, err := postgres.New(pool, postgres.Config{Schema: "elsewhere"})
	must(t, err)
	must(t, elsewhere.Migrate(t.Context()))
	_, err = s.Enqueue(t.Context(), epoch, []queue.Posting{{Type: "build"}}) // the tag set is there, so the transaction does not hold it
	must(t, err)
	tx, err := pool.Begin(t.Context())
	must(t, err)
	t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	for what, store := range map[string]poster{
		"another schema": elsewhere, "another pool": over(t, under(t, pool, nil)), "a transaction of the host": s.WithTx(tx),
	} {
		if posted(t, store, bus, uuid.New()).Announced { // of a tenant whose number the transaction does not hold
			t.Errorf("%s: the message was sent", what)
		}
	}
	must(t, tx.Commit(t.Context()))
	must(t, bus.Publish(t.Context(), "end"))
	received.expect(t, "end")
}

// A commit that sends makes all others wait that do. So a posting beside one that sends does not, and waits for nobody; nor does one
// that passes a tenant whose number somebody holds.
func TestOneMessageIsCarriedAtATime(t *testing.T) {
	s, pool := open(t)
	bus := newPubsub(t, pool, postgres.Config{})
	received, _ := listening(t, bus)
	tenant := uuid.New()
	tx, err := pool.Begin(t.Context())
	must(t, err)
	_, err = tx.Exec(t.Context(), `SELECT pg_advisory_xact_lock($1)`, postgres.CarrierKey(postgres.DefaultSchema))
	must(t, err)
	if posted(t, s, bus, tenant).Announced {
		t.Error("a message was sent beside another one")
	}
	must(t, tx.Rollback(t.Context()))
	if !posted(t, s, bus, tenant).Announced {
		t.Error("a message was not sent after the other one")
	}
	received.expect(t, "carried")
	tx, err = pool.Begin(t.Context())
	must(t, err)
	_, err = tx.Exec(t.Context(), `SELECT FROM dormouse.turns WHERE tenant_id = $1 FOR UPDATE`, tenant)
	must(t, err)
	if posted(t, s, bus, tenant).Announced {
		t.Error("a message was sent with what passes a tenant")
	}
	must(t, tx.Rollback(t.Context()))
	must(t, bus.Publish(t.Context(), "end"))
	received.expect(t, "end")
}

// A server that takes no messages, because a listener has read none for long, takes jobs.
func TestPostingBesideAFullQueueOfMessages(t *testing.T) {
	s, pool := open(t)
	bus := newPubsub(t, pool, postgres.Config{})
	exec(t, pool, `CREATE SEQUENCE commits`)
	exec(t, pool, `CREATE FUNCTION full_queue() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		IF nextval('commits') = 1 THEN RAISE 'too many notifications in the NOTIFY queue' USING ERRCODE = '54000'; END IF;
		RETURN NULL;
	END $$`)
	exec(t, pool, `CREATE CONSTRAINT TRIGGER full_queue AFTER INSERT ON dormouse.jobs DEFERRABLE INITIALLY DEFERRED
		FOR EACH ROW EXECUTE FUNCTION full_queue()`)
	job := posted(t, s, bus, uuid.New())
	if job.Announced || job.Order == 0 {
		t.Errorf("the job is %+v", job)
	}
	stored, err := s.Jobs(t.Context(), queue.Filter{IDs: []uuid.UUID{job.ID}})
	must(t, err)
	if len(stored) != 1 {
		t.Errorf("%d jobs are stored", len(stored))
	}
}

// A limit of the server that is met without a message too, as where a trigger of the host sends one, is the error of the call.
func TestPostingThatMeetsALimit(t *testing.T) {
	s, pool := open(t)
	bus := newPubsub(t, pool, postgres.Config{})
	exec(t, pool, `CREATE SEQUENCE attempts`)
	exec(t, pool, `CREATE FUNCTION limits() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		IF nextval('attempts') < 50 THEN RAISE 'too many notifications in the NOTIFY queue' USING ERRCODE = '54000'; END IF;
		RETURN NULL;
	END $$`)
	exec(t, pool, `CREATE TRIGGER limits AFTER INSERT ON dormouse.jobs FOR EACH ROW EXECUTE FUNCTION limits()`)
	for what, c := range map[string]struct {
		ctx  context.Context
		asks int64
	}{
		"with a message": {bus.Carry(soon(t), []string{"carried"}), 2}, "without": {soon(t), 1},
	} {
		exec(t, pool, `ALTER SEQUENCE attempts RESTART`)
		_, err := s.Enqueue(c.ctx, epoch, []queue.Posting{{ID: uuid.New(), Organization: uuid.New(), Type: "build"}})
		var pg *pgconn.PgError
		if !errors.As(err, &pg) || pg.Code != "54000" {
			t.Errorf("%s: %v", what, err)
		}
		var asked int64
		must(t, pool.QueryRow(t.Context(), `SELECT last_value FROM attempts`).Scan(&asked))
		if asked != c.asks || count(t, pool, "jobs") != 0 {
			t.Errorf("%s: asked %d times, %d jobs are stored", what, asked, count(t, pool, "jobs"))
		}
	}
}
