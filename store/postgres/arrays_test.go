package postgres_test

import (
	"context"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store/postgres"
	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
)

// What this package writes itself is, byte by byte, what pgx writes: with NULLs at any place, and none, and nothing.
func TestArraysAreThoseOfPgx(t *testing.T) {
	for range 300 {
		rows := samples(rand.IntN(6))
		ours, theirs, err := postgres.Arrays(rows)
		must(t, err)
		if len(ours) != len(theirs) {
			t.Fatalf("%d columns and %d of pgx", len(ours), len(theirs))
		}
		for name := range theirs {
			if ours[name] != theirs[name] {
				t.Fatalf("%s of %+v:\n%x, want\n%x", name, rows, ours[name], theirs[name])
			}
		}
	}
}

// samples are some of which about half of the values are zero.
func samples(n int) []postgres.Sample {
	rows := make([]postgres.Sample, n)
	for i := range rows {
		r := &rows[i]
		for _, set := range []func(){
			func() { r.ID[rand.IntN(16)] = 1 },
			func() { r.MaybeID[rand.IntN(16)] = 255 },
			func() { r.Text = strings.Repeat("é", rand.IntN(300)) },
			func() { r.MaybeText = "a" },
			func() { r.Bytes = make([]byte, rand.IntN(3)) },
			func() { r.Truth = true },
			func() { r.Int8, r.MaybeInt8 = int64(rand.Uint64()), -1 },
			func() { r.Int4, r.MaybeInt4 = int32(rand.Uint32()), 1<<31-1 },
			func() { r.Int2, r.MaybeInt2 = -1<<15, int16(1+rand.IntN(100)) },
			func() { r.At = epoch.Add(time.Duration(rand.Int64N(1e15)) - 1e14) },
			func() { r.At = time.Time{}.Add(time.Duration(1000 + rand.IntN(2000))) },
		} {
			if rand.IntN(2) == 0 {
				set()
			}
		}
	}
	return rows
}

// Whatever a host has done with its connections, and however long a statement is, arrays arrive.
func TestArraysArrive(t *testing.T) {
	rows := samples(50)
	want := map[[16]byte]string{}
	for i := range rows {
		rows[i].ID = [16]byte{byte(i)}
		rows[i].Text = strings.Repeat("x", i*100)
		want[rows[i].ID] = rows[i].Text
	}
	for name, prepare := range map[string]func(*pgxpool.Config){
		"as it is":     func(*pgxpool.Config) {},
		"not prepared": func(c *pgxpool.Config) { c.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe },
		"arrays as text": func(c *pgxpool.Config) {
			c.AfterConnect = func(_ context.Context, conn *pgx.Conn) error {
				for _, oid := range []uint32{pgtype.UUIDArrayOID, pgtype.TextArrayOID} {
					of, _ := conn.TypeMap().TypeForOID(oid)
					conn.TypeMap().RegisterType(&pgtype.Type{Name: of.Name, OID: oid, Codec: asText{of.Codec}})
				}
				return nil
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := pgtest.Pool(t).Config()
			prepare(cfg)
			cfg.MaxConns = 1
			pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
			must(t, err)
			defer pool.Close()
			for range 3 {
				arrived, err := postgres.SelectSamples(t.Context(), pool, rows)
				must(t, err)
				if !maps.Equal(arrived, want) {
					t.Fatalf("%d arrived, or others than were sent", len(arrived))
				}
				var n int // the connection serves others, and refuses what it has always refused
				must(t, pool.QueryRow(t.Context(), `SELECT cardinality($1::text[])`, []string{"a", "b"}).Scan(&n))
				if err := pool.QueryRow(t.Context(), `SELECT cardinality($1::text[])`, struct{ a int }{}).Scan(&n); n != 2 || err == nil {
					t.Fatalf("%d, %v", n, err)
				}
			}
		})
	}
}

// asText prefers the form for people.
type asText struct{ pgtype.Codec }

func (asText) PreferredFormat() int16 { return pgx.TextFormatCode }

// Arrays end with the last value that is not NULL: whichever of the changes of a batch has one, it is that workspace which gets
// it, and the others have none.
func TestValueOfOneAmongMany(t *testing.T) {
	s, _ := open(t)
	f := newFleet(t, s, 4)
	for which := range f.ids {
		var changes []lifecycle.Change
		for i, snapshot := range load(t, s, f.ids...) {
			c := wakeAt(snapshot, epoch)
			c.Workspace.DormantAt, c.Workspace.Hold = time.Time{}, lifecycle.Hold{}
			if i == which {
				c.Workspace.DormantAt = epoch.Add(time.Hour)
				c.Workspace.Hold = lifecycle.Hold{Until: epoch.Add(2 * time.Hour), Note: "an audit", By: "sam"}
			}
			changes = append(changes, c)
		}
		outcomes, err := s.Commit(t.Context(), epoch, changes)
		must(t, err)
		index := make(map[[16]byte]*lifecycle.Change, len(changes))
		for i := range changes {
			if outcomes[i] != lifecycle.Applied {
				t.Fatalf("change %d: %v", i, outcomes[i])
			}
			index[changes[i].Workspace.ID] = &changes[i]
		}
		for _, snapshot := range load(t, s, f.ids...) {
			want, have := index[snapshot.Workspace.ID].Workspace, snapshot.Workspace
			if have.DormantAt != want.DormantAt || have.Hold != want.Hold {
				t.Errorf("with values of change %d: %v and %+v, want %v and %+v", which, have.DormantAt, have.Hold, want.DormantAt, want.Hold)
			}
		}
	}
}
