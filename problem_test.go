package dormouse_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/buildjobs"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/acquirer/worker"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/rendercache"
	"github.com/dormouse-go/dormouse/schedule"
	"github.com/dormouse-go/dormouse/store/migrate"
	"github.com/dormouse-go/dormouse/workerpool"
	"github.com/dormouse-go/dormouse/workerpool/jobqueue"
)

// problems are the errors of the library, by the name under which a host finds them.
var problems = []struct {
	name   string
	err    error
	status int
	kind   string
}{
	{"invalid.Err", invalid.New("Policy.FailureTTL", -time.Hour, "must not be negative"), 422, "invalid"},
	{"schedule.ErrNoAllowedAutostart", schedule.ErrNoAllowedAutostart, 422, "invalid"},
	{"lifecycle.ErrNotFound", lifecycle.ErrNotFound, 404, "not_found"},
	{"dormouse.NotFoundError", &dormouse.NotFoundError{Kind: "template", ID: uuid.New()}, 404, "not_found"},
	{"queue.ErrNotFound", queue.ErrNotFound, 404, "not_found"},
	{"lifecycle.ErrDeleted", lifecycle.ErrDeleted, 410, "deleted"},
	{"lifecycle.ErrForbidden", lifecycle.ErrForbidden, 403, "forbidden"},
	{"lifecycle.ErrManaged", lifecycle.ErrManaged, 409, "managed"},
	{"lifecycle.ErrBuildActive", lifecycle.ErrBuildActive, 409, "build_active"},
	{"lifecycle.ErrStaleBuild", lifecycle.ErrStaleBuild, 409, "stale_build"},
	{"lifecycle.ErrPolicyChanged", lifecycle.ErrPolicyChanged, 409, "policy_changed"},
	{"lifecycle.ErrInUse", lifecycle.ErrInUse, 409, "in_use"},
	{"lifecycle.ErrStaleTemplate", lifecycle.ErrStaleTemplate, 409, "stale_template"},
	{"lifecycle.ErrUnreadable", lifecycle.ErrUnreadable, 409, "unreadable"},
	{"lifecycle.ErrUnchanged", lifecycle.ErrUnchanged, 409, "unchanged"},
	{"dormouse.ErrExists", dormouse.ErrExists, 409, "exists"},
	{"dormouse.ErrShadow", dormouse.ErrShadow, 409, "shadow"},
	{"dormouse.ErrChanged", dormouse.ErrChanged, 412, "changed"},
	{"dormouse.ErrNotRunning", dormouse.ErrNotRunning, 409, "not_running"},
	{"executor.ErrConflict", executor.ErrConflict, 409, "conflict"},
	{"lifecycle.ErrNameTaken", lifecycle.ErrNameTaken, 409, "name_taken"},
	{"prewarm.EmptyError", &prewarm.EmptyError{Pool: "go"}, 409, "pool_empty"},
	{"executor.RefusalError", executor.Refuse("the quota of ann is used up"), 409, "refused"},
	{"queue.ErrLeaseLost", queue.ErrLeaseLost, 409, "lease_lost"},
	{"queue.ErrTimeout", queue.ErrTimeout, 409, "run_limit"},
	{"queue.ErrJobCanceled", queue.ErrJobCanceled, 409, "canceled"},
	{"lifecycle.ErrUnavailable", lifecycle.ErrUnavailable, 503, "unavailable"},
	{"migrate.VersionError", &migrate.VersionError{}, 503, "unavailable"},
	{"queue.ErrStopped", queue.ErrStopped, 503, "stopping"},
	{"worker.ErrDraining", worker.ErrDraining, 503, "stopping"},
	{"queue.ErrTooMany", queue.ErrTooMany, 429, "too_many"},
	{"queue.ErrProcessLost", queue.ErrProcessLost, 503, "process_lost"},
	{"context.DeadlineExceeded", context.DeadlineExceeded, 504, "timeout"},
	{"context.Canceled", context.Canceled, 499, "client_closed"},
	{"lifecycle.ErrClaimed", lifecycle.ErrClaimed, 409, "claimed"},
	{"lifecycle.ErrNameTaken", lifecycle.ErrNameTaken, 409, "name_taken"},
	{"lifecycle.ErrNotClaimable", lifecycle.ErrNotClaimable, 409, "not_claimable"},
	{"workerpool.ErrUnknownWorker", workerpool.ErrUnknownWorker, 404, "not_found"},
	{"workerpool.ErrUnknownJob", workerpool.ErrUnknownJob, 404, "not_found"},
	{"workerpool.ErrNotIdle", workerpool.ErrNotIdle, 409, "not_idle"},
	{"workerpool.ErrNoRoom", workerpool.ErrNoRoom, 409, "no_room"},
	{"workerpool.ErrNotRunning", workerpool.ErrNotRunning, 503, "stopping"},
	{"prewarm.ErrNotFound", prewarm.ErrNotFound, 404, "not_found"},
	{"prewarm.ErrEnded", prewarm.ErrEnded, 410, "claim_ended"},
	{"prewarm.ErrKeyReused", prewarm.ErrKeyReused, 409, "key_reused"},
	{"prewarm.ErrConflict", prewarm.ErrConflict, 409, "conflict"},
	{"prewarm.ErrNotRunning", prewarm.ErrNotRunning, 503, "stopping"},
	{"prewarm.ErrAlreadyRun", prewarm.ErrAlreadyRun, 500, "internal"},
	{"dormouse.ErrAlreadyRun", dormouse.ErrAlreadyRun, 500, "internal"},
	{"executor.ErrAlreadyRun", executor.ErrAlreadyRun, 500, "internal"},
	{"acquirer.ErrAlreadyRun", acquirer.ErrAlreadyRun, 500, "internal"},
	{"buildjobs.ErrAlreadyRun", buildjobs.ErrAlreadyRun, 500, "internal"},
	{"jobqueue.ErrAlreadyRun", jobqueue.ErrAlreadyRun, 500, "internal"},
	{"worker.ErrAlreadyRun", worker.ErrAlreadyRun, 500, "internal"},
	{"executor.PanicError", &executor.PanicError{Value: "boom"}, 500, "internal"},
	{"rendercache.ErrNoStore", rendercache.ErrNoStore, 500, "internal"},
	{"rendercache.ErrClosed", rendercache.ErrClosed, 500, "internal"},
	{"rendercache.ErrAbandoned", rendercache.ErrAbandoned, 500, "internal"},
	{"rendercache.ErrGoexit", rendercache.ErrGoexit, 500, "internal"},
	{"rendercache.ErrRecursive", rendercache.ErrRecursive, 500, "internal"},
	{"rendercache.PanicError", &rendercache.PanicError{Value: "boom"}, 500, "internal"},
}

func TestProblemOf(t *testing.T) {
	for _, c := range problems {
		for _, err := range []error{c.err, fmt.Errorf("start workspace: %w", c.err), errors.Join(errors.New("other"), c.err)} {
			p := dormouse.ProblemOf(err)
			if p.Status != c.status || p.Type != "urn:dormouse:problem:"+c.kind || p.Title == "" {
				t.Errorf("%s as %v: %+v, want %d %s", c.name, err, p, c.status, c.kind)
			}
			if inside := p.Status >= 500; inside != (p.Detail == "") {
				t.Errorf("%s: detail %q of a %d", c.name, p.Detail, p.Status)
			}
		}
	}
	if p := dormouse.ProblemOf(errors.New("password is secret")); p.Status != 500 || p.Detail != "" {
		t.Errorf("an error that nobody knows: %+v", p)
	}
	if p := dormouse.ProblemOf(nil); p != (dormouse.Problem{}) {
		t.Errorf("no error: %+v", p)
	}
}

func TestProblemOfBadInput(t *testing.T) {
	w := httptest.NewRecorder()
	dormouse.ProblemOf(invalid.New("Policy.FailureTTL", -time.Hour, "must not be negative")).ServeHTTP(w, nil)
	var p dormouse.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatal(err)
	}
	if w.Code != 422 || w.Header().Get("Content-Type") != "application/problem+json" ||
		w.Header().Get("X-Content-Type-Options") != "nosniff" || p.Field != "Policy.FailureTTL" || p.Value != "-1h0m0s" || p.Rule != "must not be negative" {
		t.Errorf("answered %d %v %+v", w.Code, w.Header(), p)
	}
	w = httptest.NewRecorder()
	dormouse.ProblemOf(lifecycle.ErrUnavailable).ServeHTTP(w, nil)
	if w.Header().Get("Retry-After") == "" {
		t.Error("a 503 says when to ask again")
	}
}

// Every sentinel that the packages export is in the table above, so that a new one gets its status.
func TestProblemsAreComplete(t *testing.T) {
	const lists = "internal/check/testdata/api"
	known := map[string]bool{}
	for _, c := range problems {
		known[c.name] = true
	}
	found := 0
	err := filepath.WalkDir(lists, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.Contains(path, "test.txt") || strings.HasSuffix(path, "sshexec.txt") { // a module of its own
			return err
		}
		pkg := strings.TrimSuffix(filepath.Base(path), ".txt")
		for _, name := range sentinels(t, path) {
			if found++; !known[pkg+"."+name] {
				t.Errorf("%s.%s is not in the table of problems", pkg, name)
			}
		}
		return nil
	})
	if err != nil || found < 20 {
		t.Errorf("%d sentinels found, error %v", found, err)
	}
}

func sentinels(t *testing.T, path string) (names []string) {
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if name, ok := strings.CutPrefix(lines.Text(), "var Err"); ok {
			names = append(names, "Err"+name)
		}
	}
	return names
}

// The page for hosts has the same table.
func TestProblemsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("docs/embedding.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range problems {
		if c.status == 500 {
			continue // one line for all
		}
		if line := fmt.Sprintf("| `%s` | %d | `%s` |", c.name, c.status, c.kind); !strings.Contains(string(page), line) {
			t.Errorf("docs/embedding.md lacks %s", line)
		}
	}
}

// What somebody sent comes back without what a reader would act on or not see.
func TestProblemsShowNothingHidden(t *testing.T) {
	p := dormouse.ProblemOf(invalid.New("name", "\x1b[2Ja\u202eb\x00\xff", "must be a name"))
	if p.Value != "\ufffd[2Ja\ufffdb\ufffd\ufffd" {
		t.Errorf("the value is %q", p.Value)
	}
	text, err := json.Marshal(p)
	if err != nil || strings.ContainsAny(string(text), "\x1b\u202e") {
		t.Errorf("written as %q, %v", text, err)
	}
}
