// Package upgrade_test has a process of an earlier commit work on tables while a new one migrates them, and beside it afterwards.
package upgrade_test

import (
	"bufio"
	"database/sql"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/dormouse-go/dormouse/internal/e2e/internal/harm"
	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
)

const (
	program    = "internal/e2e/upgrade/member"
	workspaces = 40
	rounds     = 6
	// beforeAll is a commit before most migrations, beforeLast the one before the thirteenth.
	beforeAll, beforeLast = "dcf8e5f", "74d3026"
)

var epoch = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)

// TestUpgradeWhileItWorks: no transition is lost or made twice, and no job is claimed twice, from the second round on, in which the
// tables become new under the process that works on them.
func TestUpgradeWhileItWorks(t *testing.T) {
	now := filepath.Join(t.TempDir(), "now")
	out, err := exec.Command("go", "build", "-o", now, "./member").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, commit := range []string{beforeAll, beforeLast} {
		t.Run(commit, func(t *testing.T) {
			before := harm.BuildProgram(t, commit, program)
			t.Run("sqlite", func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "dormouse.db")
				db, err := sql.Open("sqlite", path+"?_pragma=busy_timeout(10000)")
				must(t, err)
				t.Cleanup(func() { must(t, db.Close()) })
				f := &fleet{T: t, prefix: "dormouse_"}
				f.old, f.new = begin(t, before, "sqlite", path), begin(t, now, "sqlite", path)
				f.exec = func(text string) error { _, err := db.ExecContext(t.Context(), text); return err }
				f.count = func(text string) (n int, err error) { return n, db.QueryRowContext(t.Context(), text).Scan(&n) }
				f.upgrade(commit == beforeLast)
			})
			t.Run("postgres", func(t *testing.T) {
				pool := pgtest.Empty(t)
				var name string
				must(t, pool.QueryRow(t.Context(), `SELECT current_database()`).Scan(&name))
				source := pgtest.Shared(t).DSN(name)
				f := &fleet{T: t, prefix: "dormouse."}
				f.old, f.new = begin(t, before, "postgres", source), begin(t, now, "postgres", source)
				f.exec = func(text string) error { _, err := pool.Exec(t.Context(), text); return err }
				f.count = func(text string) (n int, err error) { return n, pool.QueryRow(t.Context(), text).Scan(&n) }
				f.upgrade(commit == beforeLast)
			})
		})
	}
}

// fleet is two processes on one database, and the database as the test sees it.
type fleet struct {
	*testing.T
	prefix   string
	old, new *process
	exec     func(text string) error
	count    func(text string) (int, error)
	claimed  []string
}

// upgrade has the processes work. Outcomes says that the old one knows whom a build is of.
func (f *fleet) upgrade(outcomes bool) {
	f.old.does("migrate", epoch)
	f.old.does("fill", epoch)
	for round := range rounds {
		at := epoch.Add(time.Duration(round+1) * time.Hour)
		switch {
		case round == 0:
			f.old.does("start", at)
			f.stopped(round, at, f.old)
		case round == 1:
			f.old.does("start", at)
			migrated := f.new.begins("migrate", epoch)
			f.stopped(round, at, f.old)
			migrated()
		default:
			f.both()[round%2].does("start", at)
			f.stopped(round, at, f.both()...)
		}
	}
	f.sound()
	f.archived(outcomes)
}

func (f *fleet) both() []*process { return []*process{f.old, f.new} }

// stopped ticks, all at the same time, until every workspace was stopped, and claims the jobs.
func (f *fleet) stopped(round int, at time.Time, who ...*process) {
	f.Helper()
	done := 0
	for minute := 0; done < workspaces && minute < 10; minute++ {
		for _, answer := range together(who, "tick", at.Add(time.Duration(minute)*time.Minute)) {
			var n int
			_, err := fmt.Sscan(strings.TrimPrefix(answer, "ticked:"), &n)
			must(f.T, err)
			done += n
		}
	}
	if done != workspaces {
		f.Fatalf("round %d: %d transitions, want %d", round, done, workspaces)
	}
	for _, answer := range together(who, "claim", at) {
		f.claimed = append(f.claimed, strings.Fields(strings.TrimPrefix(answer, "claimed:"))...)
	}
}

// sound judges by statements, not by the store.
func (f *fleet) sound() {
	every := strings.ReplaceAll(`(SELECT workspace_id, number, id, transition FROM @builds
		UNION ALL SELECT id, build_number, build_id, build_transition FROM @workspaces) b`, "@", f.prefix)
	for what, c := range map[string]struct {
		text string
		want int
	}{
		"builds":                          {`SELECT count(*) FROM ` + every, workspaces * 2 * rounds},
		"workspaces with a gap":           {`SELECT count(*) FROM (SELECT workspace_id FROM ` + every + ` GROUP BY workspace_id HAVING count(DISTINCT number) <> max(number) OR count(*) <> max(number)) g`, 0},
		"builds that do not alternate":    {`SELECT count(*) FROM ` + every + ` WHERE transition <> 2 - number % 2`, 0},
		"jobs":                            {`SELECT count(*) FROM ` + f.prefix + `jobs`, workspaces * rounds},
		"stops without a job":             {`SELECT count(*) FROM ` + every + ` WHERE transition = 2 AND id NOT IN (SELECT id FROM ` + f.prefix + `jobs)`, 0},
		"jobs that were handed out twice": {`SELECT count(*) FROM ` + f.prefix + `jobs WHERE attempt <> 1`, 0},
	} {
		n, err := f.count(c.text)
		must(f.T, err)
		if n != c.want {
			f.Errorf("%d %s, want %d", n, what, c.want)
		}
	}
	slices.Sort(f.claimed)
	if n := len(slices.Compact(slices.Clone(f.claimed))); n != len(f.claimed) || n != workspaces*rounds {
		f.Errorf("%d claims of %d jobs, want %d of each", len(f.claimed), n, workspaces*rounds)
	}
}

// archived has the old process replace builds that the new one has filled with what it alone knows, if it does.
func (f *fleet) archived(outcomes bool) {
	must(f.T, f.exec(`UPDATE `+f.prefix+`workspaces SET build_initiator = 'zoe', build_result = 'made'`))
	f.old.does("start", epoch.AddDate(0, 0, 1))
	kept, err := f.count(`SELECT count(*) FROM ` + f.prefix + `builds WHERE initiator = 'zoe' AND result = 'made'`)
	must(f.T, err)
	inherited, err := f.count(`SELECT count(*) FROM ` + f.prefix + `workspaces WHERE build_initiator <> '' OR build_result <> ''`)
	must(f.T, err)
	if outcomes && (kept != workspaces || inherited != 0) {
		f.Errorf("%d archived builds kept what is known of them, and %d new ones inherited it", kept, inherited)
	}
	if !outcomes {
		f.Logf("%d archived builds kept what is known of them, and %d new ones inherited it", kept, inherited)
	}
}

// process is a member of the fleet, seen from outside.
type process struct {
	t   *testing.T
	in  io.Writer
	out *bufio.Reader
}

func begin(t *testing.T, program, kind, source string) *process {
	t.Helper()
	cmd := exec.Command(program, kind, source)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() { // before the database goes
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v", program, err)
		}
	})
	return &process{t, in, bufio.NewReader(out)}
}

// begins has a process do something; the returned function waits for its answer.
func (p *process) begins(what string, at time.Time) (answer func() string) {
	p.t.Helper()
	_, err := fmt.Fprintln(p.in, what, at.UnixMicro())
	must(p.t, err)
	return func() string {
		p.t.Helper()
		line, err := p.out.ReadString('\n')
		if err != nil {
			p.t.Fatalf("%s: %v", what, err)
		}
		return strings.TrimSpace(line)
	}
}

func (p *process) does(what string, at time.Time) string {
	p.t.Helper()
	return p.begins(what, at)()
}

// together has several do the same at the same time.
func together(who []*process, what string, at time.Time) (answers []string) {
	var waits []func() string
	for _, p := range who {
		waits = append(waits, p.begins(what, at))
	}
	for _, wait := range waits {
		answers = append(answers, wait())
	}
	return answers
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
