package sqlite_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/store/sqlite"
)

// ticker is a process that ticks once for each instant it reads, and says what became of it.
func ticker(ctx context.Context, path string) error {
	db, err := sqlite.Open("sqlite", path)
	if err != nil {
		return err
	}
	s, err := sqlite.New(db, sqlite.Config{})
	if err != nil {
		return err
	}
	e, err := executor.New(s, executor.Config{BatchSize: 15, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	e.Tick(ctx, killEpoch.Add(-time.Hour)) // nothing is due: the first real tick should not begin later than those of others
	fmt.Println(0, 0)
	for {
		var instant int64
		if _, err := fmt.Scan(&instant); errors.Is(err, io.EOF) {
			return db.Close()
		} else if err != nil {
			return err
		}
		stats := e.Tick(ctx, time.UnixMicro(instant))
		if stats.Err != nil {
			return stats.Err
		}
		if len(stats.Errors) > 0 {
			return fmt.Errorf("tick: %v", stats.Errors)
		}
		fmt.Println(len(stats.Transitions), stats.Conflicts)
	}
}

// process is a ticker seen from outside.
type process struct {
	*exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// begin starts a ticker and waits until it is ready.
func begin(t *testing.T, path string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(os.Args[0])}
	p.Env = append(os.Environ(), tickerFile+"="+path)
	p.Stderr = os.Stderr
	var err error
	p.in, err = p.StdinPipe()
	must(t, err)
	out, err := p.StdoutPipe()
	must(t, err)
	p.out = bufio.NewReader(out)
	must(t, p.Start())
	t.Cleanup(func() { _ = p.Process.Kill() })
	_, _, err = p.answer()
	must(t, err)
	return p
}

func (p *process) tick(t *testing.T, now time.Time) {
	t.Helper()
	_, err := fmt.Fprintln(p.in, now.UnixMicro())
	must(t, err)
}

// answer is what a tick did.
func (p *process) answer() (transitions, conflicts int, err error) {
	_, err = fmt.Fscanln(p.out, &transitions, &conflicts)
	return transitions, conflicts, err
}

// end lets a ticker end by itself.
func (p *process) end(t *testing.T) {
	t.Helper()
	must(t, p.in.Close())
	must(t, p.Wait())
}

// TestProcessesTickOneFile lets two processes tick one file at the same time, and a third one, which is killed in the
// middle of it and replaced, round after round. What they left behind is judged by statements of its own, not by the store.
func TestProcessesTickOneFile(t *testing.T) {
	const rounds, most = 6, 60
	path := filepath.Join(t.TempDir(), "dormouse.db")
	db := openFile(t, path)
	s := migrated(t, db)
	ids := seed(t, s, 150)
	first, second := begin(t, path), begin(t, path)
	conflicts, killed, saved := 0, 0, 0
	round := 0
	// So many rounds, and until the processes met and one was killed in its tick: it is the machine that decides who is faster.
	for ; round < rounds || round < most && (conflicts == 0 || killed == 0); round++ {
		now := killEpoch.Add(time.Duration(round) * time.Hour)
		restart(t, s, ids, now)
		victim := begin(t, path)
		for _, p := range []*process{first, second, victim} {
			p.tick(t, now)
		}
		// Sooner in each round than in the one before: from a tick that is almost over to one that has not begun. Then again.
		died := make(chan error, 1)
		kill := time.AfterFunc(time.Duration(rounds-round%rounds)*12*time.Millisecond, func() { died <- victim.Process.Kill() })
		done := 0
		for _, p := range []*process{first, second} {
			transitions, n, err := p.answer()
			must(t, err)
			done, conflicts = done+transitions, conflicts+n
		}
		if kill.Stop() {
			died <- victim.Process.Kill()
		}
		must(t, <-died)
		if _, _, err := victim.answer(); err != nil {
			killed, saved = killed+1, saved+len(ids)-done
		}
		_ = victim.Wait() // it was killed
		once(t, db, round, len(ids), now)
	}
	first.end(t)
	second.end(t)
	sound(t, db)
	t.Logf("%d rounds, %d conflicts, %d killed in their tick, of whose stops %d were committed", round, conflicts, killed, saved)
	if conflicts == 0 || killed == 0 {
		t.Error("the processes did not meet, or none was killed in its tick: the test proves nothing")
	}
}

// restart ends the build of every workspace, if it has one, and gives it a start that has succeeded and whose deadline is
// now.
func restart(t *testing.T, s *sqlite.Store, ids []uuid.UUID, now time.Time) {
	t.Helper()
	for _, next := range []bool{false, true} {
		all, err := s.Load(t.Context(), ids...)
		must(t, err)
		changes := make([]lifecycle.Change, len(all))
		for i := range all {
			c := &changes[i]
			*c = lifecycle.Change{Revision: all[i].Workspace.Revision, Workspace: all[i].Workspace, Build: all[i].Build, NewBuild: next}
			c.Workspace.WakeAt = now
			if next {
				c.Build = lifecycle.Build{ID: uuid.New(), Number: c.Build.Number + 1, Transition: lifecycle.TransitionStart, Deadline: now}
			}
			if c.Build.Number > 0 {
				c.Build.Status, c.Build.CompletedAt = lifecycle.JobSucceeded, now.Add(-time.Minute)
			}
		}
		_, err = s.Commit(t.Context(), now, changes)
		must(t, err)
	}
}

// once checks that since the last round every workspace has got its start and one stop, made at now, and nothing is due.
func once(t *testing.T, db *sql.DB, round, workspaces int, now time.Time) {
	t.Helper()
	for _, c := range []struct {
		what, query string
		want        int
	}{
		{"workspaces were stopped in this round", fmt.Sprintf(`SELECT count(*) FROM dormouse_workspaces
			WHERE build_transition = 2 AND build_number = %d AND build_created_at = %d`, 2*round+2, now.UnixMicro()), workspaces},
		{"workspaces are still due", fmt.Sprintf(`SELECT count(*) FROM dormouse_workspaces WHERE wake_at <= %d`, now.UnixMicro()), 0},
		{"builds were made before", `SELECT count(*) FROM dormouse_builds`, workspaces * (2*round + 1)},
		{"jobs were posted", `SELECT count(*) FROM dormouse_jobs`, workspaces * (round + 1)},
	} {
		if got := count(t, db, c.query); got != c.want {
			t.Errorf("round %d: %d %s: must be %d", round, got, c.what, c.want)
		}
	}
}

// sound checks the file as a whole.
func sound(t *testing.T, db *sql.DB) {
	t.Helper()
	const every = `(SELECT workspace_id, number, id, transition FROM dormouse_builds
		UNION ALL SELECT id, build_number, build_id, build_transition FROM dormouse_workspaces)`
	for what, query := range map[string]string{
		"workspaces with a gap in their builds": `SELECT count(*) FROM (SELECT 1 FROM ` + every + `
			GROUP BY workspace_id HAVING count(DISTINCT number) <> max(number) OR count(*) <> max(number) OR min(number) <> 1)`,
		"starts and stops that do not alternate": `SELECT count(*) FROM ` + every + ` WHERE transition <> 2 - number % 2`,
		"stops without a job":                    `SELECT count(*) FROM ` + every + ` b WHERE transition = 2 AND id NOT IN (SELECT id FROM dormouse_jobs)`,
		"jobs without a stop":                    `SELECT count(*) FROM dormouse_jobs WHERE id NOT IN (SELECT id FROM ` + every + ` b WHERE transition = 2)`,
		"rows that refer to nothing":             `SELECT count(*) FROM pragma_foreign_key_check`,
		"complaints of SQLite about its file":    `SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'`,
	} {
		if n := count(t, db, query); n != 0 {
			t.Errorf("%d %s", n, what)
		}
	}
}

func count(t *testing.T, db *sql.DB, query string) (n int) {
	t.Helper()
	must(t, db.QueryRowContext(t.Context(), query).Scan(&n))
	return n
}
