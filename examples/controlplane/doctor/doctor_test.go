package doctor_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/examples/controlplane/doctor"
	"github.com/dormouse-go/dormouse/store/memory"
)

// patient is a plane whose builds nobody carries out.
type patient struct {
	*testing.T
	store    *memory.Store
	plane    *dormouse.Plane
	template uuid.UUID
}

func newPatient(t *testing.T) patient {
	t.Helper()
	s := memory.New()
	plane, err := dormouse.New(s, dormouse.Config{Organization: uuid.New(), Logger: slog.New(slog.DiscardHandler)})
	p := patient{t, s, plane, uuid.Nil}
	p.must(err)
	template, err := plane.PutTemplate(t.Context(), dormouse.Template{Name: "web"})
	p.must(err)
	p.template = template.ID
	return p
}

func (p patient) must(err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
}

func (p patient) start(owner, name string) {
	p.Helper()
	w, err := p.plane.Create(p.Context(), dormouse.NewWorkspace{Template: p.template, Owner: owner, Name: name})
	p.must(err)
	_, err = p.plane.Start(p.Context(), w.ID)
	p.must(err)
}

// says is one finding.
func (p patient) says(name string) string {
	p.Helper()
	for _, f := range doctor.Examine(p.Context(), p.plane, p.store, time.Now()).Findings {
		if f.Name == name {
			return fmt.Sprintf("%t: %s", f.OK, f.Text)
		}
	}
	p.Fatalf("nothing is said about %s", name)
	return ""
}

func (p patient) want(name, begin string) {
	p.Helper()
	if got := p.says(name); !strings.HasPrefix(got, begin) {
		p.Errorf("%s is\n\t%s, want\n\t%s", name, got, begin)
	}
}

// A finding names a workspace, says one as one and several as several, and counts what was looked at.
func TestFindingsNameWorkspaces(t *testing.T) {
	p := newPatient(t)
	p.want("unmatched", "true: no job waits")
	p.want("leases", "true: no job runs")
	p.start("ann", "api")
	p.want("unmatched", "false: the start of api of ann: No live worker can run it: the organization has no workers.")
	p.start("ben", "my site")
	p.want("unmatched", `false: 2 jobs have no worker, such as the start of "my site" of ben: No live worker can run it: the organization has no workers.`)
	for i := range 60 {
		p.start("ben", fmt.Sprint("n", i))
	}
	p.want("unmatched", "false: 50 jobs have no worker (of the latest 50), such as the start of n59 of ben: ")
	_, err := p.plane.Acquirer().Enqueue(t.Context(), queue.Posting{Organization: p.plane.Organization(), Type: "render"})
	p.must(err)
	p.want("unmatched", "false: 50 jobs have no worker (of the latest 50), such as job ")
}

// What is paused waits for the end of the pause, whoever could run it.
func TestPausedIsNotUnmatched(t *testing.T) {
	p := newPatient(t)
	p.start("ann", "api")
	until := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	p.must(p.plane.Acquirer().Pause(t.Context(), queue.Pause{By: "the admin", Until: until}))
	p.want("unmatched", "true: none; a job waits")
	p.want("pauses", "false: jobs are not handed out until "+until.Format(time.RFC3339))
	p.must(p.plane.Acquirer().Pause(t.Context(), queue.Pause{Scope: queue.Scope{Type: "render"}, By: "\x1b[2J"}))
	if got := p.says("pauses"); !strings.HasSuffix(got, "; there is another pause") || strings.ContainsRune(got, '\x1b') {
		t.Errorf("pauses: %q", got)
	}
}
