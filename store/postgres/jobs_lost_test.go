package postgres_test

import (
	"context"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
)

// lossy loses the next answer of the server: it arrives, which means that the server has done its work, and is thrown away
// together with the connection.
type lossy struct {
	net.Conn
	lose *atomic.Bool
}

func (c lossy) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err == nil && c.lose.CompareAndSwap(true, false) {
		_ = c.Conn.Close()
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

// TestLostAnswer loses the answers to commits. Their changes are applied once and reported as applied; a change that was
// really in conflict is still reported so.
func TestLostAnswer(t *testing.T) {
	var lose atomic.Bool
	cfg := pgtest.Pool(t).Config()
	cfg.MaxConns = 1
	dial := cfg.ConnConfig.DialFunc
	cfg.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		return lossy{conn, &lose}, err
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	must(t, err)
	defer pool.Close()
	s := over(t, pool)
	f := newFleet(t, s, 5)
	commit := func(changes ...lifecycle.Change) []lifecycle.Outcome {
		outcomes, err := s.Commit(t.Context(), epoch, changes)
		must(t, err)
		return outcomes
	}
	all := load(t, s, f.ids[:4]...)
	late := wakeAt(all[0], epoch.Add(7*time.Hour))
	commit(wakeAt(all[0], epoch), started(t, all[3])) // the first makes it late; both prepare all statements
	plain := wakeAt(all[1], epoch.Add(time.Hour))
	plain.Workspace.Hold.Until = epoch.Add(time.Nanosecond) // stored without the nanosecond
	build := started(t, all[2])
	build.Events = []lifecycle.Event{{WorkspaceID: build.Workspace.ID, Kind: lifecycle.EventBuildQueued}}

	lose.Store(true)
	outcomes := commit(late, plain, build)
	if lose.Load() {
		t.Fatal("no answer was lost")
	}
	if outcomes[0] != lifecycle.Conflict || outcomes[1] != lifecycle.Applied || outcomes[2] != lifecycle.Applied {
		t.Errorf("outcomes %v, want a conflict and two applied", outcomes)
	}
	var revisions, jobs, events int
	must(t, pool.QueryRow(t.Context(), `SELECT (SELECT sum(revision) FROM dormouse.workspaces),
		(SELECT count(*) FROM dormouse.jobs), (SELECT count(*) FROM dormouse.events)`).Scan(&revisions, &jobs, &events))
	if revisions != 5+4 || jobs != 2 || events != 2 {
		t.Errorf("revisions %d, jobs %d, events %d: something was done twice or not at all", revisions, jobs, events)
	}
}
