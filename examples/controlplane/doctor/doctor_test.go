package doctor_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/examples/controlplane/doctor"
	"github.com/dormouse-go/dormouse/store/memory"
)

// refuser is a store that refuses to have some jobs turn ready, or to serve an organization.
type refuser struct {
	*memory.Store

	mu      sync.Mutex
	refused []queue.Refusal
	fails   uuid.UUID     // claims for this organization fail
	hangs   chan struct{} // until it is closed, if they do not return instead
}

func (r *refuser) Claim(ctx context.Context, c queue.Claim) (queue.Claimed, error) {
	r.mu.Lock()
	fails, hangs := r.fails, r.hangs
	r.mu.Unlock()
	if fails != uuid.Nil && c.Probes[0].Lane.Organization == fails {
		if hangs != nil {
			<-hangs
		}
		return queue.Claimed{}, errors.New("canceling statement due to lock timeout")
	}
	return r.Store.Claim(ctx, c)
}

func (r *refuser) failFor(organization uuid.UUID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fails = organization
}

func (r *refuser) Ready(ctx context.Context, now time.Time, q queue.ReadyQuery) (queue.Listing, error) {
	listing, err := r.Store.Ready(ctx, now, q)
	r.mu.Lock()
	defer r.mu.Unlock()
	listing.Refused = r.refused
	return listing, err
}

func (r *refuser) refuse(jobs ...queue.Job) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refused = nil
	for _, j := range jobs {
		r.refused = append(r.refused, queue.Refusal{Job: j.ID, Why: "new row violates check constraint \"frozen\""})
	}
}

// patient is a plane whose builds nobody carries out.
type patient struct {
	*testing.T
	store    *refuser
	plane    *dormouse.Plane
	template uuid.UUID
}

func newPatient(t *testing.T) patient {
	t.Helper()
	s := &refuser{Store: memory.New()}
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

// hears runs the plane until the end of the test, and returns when the plane knows which workers there are.
func (p patient) hears() {
	ctx, stop := context.WithCancel(p.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = p.plane.Run(ctx)
	}()
	p.Cleanup(func() { stop(); <-ended })
	synctest.Wait()
}

// A plane that does not run, such as one that is made to look at a database, knows of no processes and workers: it says so, and neither that
// there are none nor that all live.
func TestOthersAreNotKnown(t *testing.T) {
	p := newPatient(t)
	p.start("ann", "api")
	p.want("unmatched", "true: a job waits; which processes and workers live, only those of the control plane hear: ask over its API")
	page, err := p.plane.Acquirer().List(t.Context(), queue.JobQuery{Organization: p.plane.Organization(), Limit: 1})
	p.must(err)
	process := uuid.New()
	_, err = p.store.Heartbeat(t.Context(), queue.Heartbeat{Process: process, Name: "another", Now: time.Now()})
	p.must(err)
	claimed, err := p.store.Claim(t.Context(), queue.Claim{
		Token: uuid.New(), Process: process, Now: time.Now(), Probes: []queue.Probe{{Lane: page.Jobs[0].Lane()}}, Workers: []uuid.UUID{uuid.New()},
		Secrets: make([]queue.SecretHash, 1),
	})
	p.must(err)
	if len(claimed.Jobs) != 1 {
		t.Fatalf("claimed %+v", claimed)
	}
	p.want("leases", "true: a job runs; which processes and workers live, only those of the control plane hear: ask over its API")
}

// A finding names a workspace, says one as one and several as several, and counts what was looked at.
func TestFindingsNameWorkspaces(t *testing.T) { synctest.Test(t, findingsNameWorkspaces) }

func findingsNameWorkspaces(t *testing.T) {
	p := newPatient(t)
	p.hears()
	start := func(owner, name string) {
		p.start(owner, name)
		time.Sleep(time.Second) // of the bubble: the next job is posted later
	}
	p.want("unmatched", "true: no job waits")
	p.want("leases", "true: no job runs")
	start("ann", "api")
	p.want("unmatched", "false: the start of api of ann: No live worker can run it: the organization has no workers.")
	start("ben", "my site")
	p.want("unmatched", `false: 2 jobs have no worker, such as the start of "my site" of ben: No live worker can run it: the organization has no workers.`)
	for i := range 60 {
		start("ben", fmt.Sprint("n", i))
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

// What the database refuses to write is found however old it is, and of other organizations nothing.
func TestRefused(t *testing.T) { synctest.Test(t, refused) }

func refused(t *testing.T) {
	p := newPatient(t)
	p.want("refused", "true: not known; which jobs are refused, only those of the control plane hear: ask over its API")
	p.hears()
	p.want("refused", "true: none that this process has come upon")
	post := func(organization uuid.UUID, n int) []queue.Job {
		jobs, err := p.plane.Acquirer().Enqueue(t.Context(), slices.Repeat([]queue.Posting{{Organization: organization, Type: "render"}}, n)...)
		p.must(err)
		time.Sleep(time.Second) // of the bubble: the next job is posted later
		return jobs
	}
	p.start("ann", "api")
	page, err := p.plane.Acquirer().List(t.Context(), queue.JobQuery{Organization: p.plane.Organization()})
	p.must(err)
	own := slices.Concat(page.Jobs, post(p.plane.Organization(), 60))
	refuse := func(jobs ...queue.Job) {
		p.store.refuse(jobs...)
		time.Sleep(3 * time.Minute) // of the bubble: the process has looked, and forgotten what it knew
	}
	const remedy = ` Mend what refuses it, or delete the job.`
	why := `The database refuses to write it: "new row violates check constraint \"frozen\"". It is tried again with the next claim.`
	refuse(own[0])
	p.want("refused", "false: the start of api of ann: "+why+remedy)
	refuse(append(post(uuid.New(), 1), own[0])...)
	p.want("refused", "false: the start of api of ann: "+why+remedy)
	refuse(own[1:3]...)
	p.want("refused", "false: 2 jobs, such as job ")
	refuse(own...)
	p.want("refused", "false: 50 jobs (there may be more), such as ")
	p.must(p.plane.Acquirer().Pause(t.Context(), queue.Pause{}))
	p.want("refused", "true: none that this process has come upon")
	_, err = p.plane.Acquirer().Resume(t.Context(), queue.Scope{})
	p.must(err)
	refuse(post(uuid.New(), 1)...)
	p.want("refused", "true: none that this process has come upon")
}

// That the store fails the organization is found, and that it fails another one is not.
func TestFailing(t *testing.T) { synctest.Test(t, failing) }

func failing(t *testing.T) {
	p := newPatient(t)
	p.want("calls", "true: not known; which calls fail, only those of the control plane know: ask over its API")
	p.hears()
	const well = "true: claims and listings go through, and every call returns"
	p.want("calls", well)
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	for _, organization := range []uuid.UUID{p.plane.Organization(), uuid.New()} {
		wait := queue.Request{Organization: organization, Types: []string{"render"}, Worker: uuid.New()}
		go func() { _, _ = p.plane.Acquirer().AcquireJob(ctx, wait) }()
		synctest.Wait()
		p.store.failFor(organization)
		_, err := p.plane.Acquirer().Enqueue(t.Context(), queue.Posting{Organization: organization, Type: "render"})
		p.must(err)
		synctest.Wait()
		if organization == p.plane.Organization() {
			p.want("calls", "false: the last call that hands out jobs of the organization failed; the log of the control plane says why")
			time.Sleep(time.Minute) // of the bubble
			if got := p.says("calls"); !strings.HasPrefix(got, "false: the last ") || !strings.Contains(got, " calls that hand out jobs of the organization failed") {
				t.Error(got)
			}
			p.store.failFor(uuid.Nil)
			time.Sleep(time.Minute)
		}
		p.want("calls", well)
	}
	hangs := make(chan struct{})
	p.store.mu.Lock()
	p.store.hangs = hangs
	p.store.mu.Unlock()
	time.Sleep(20 * time.Second) // of the bubble: the limit of a call, and the patience with it
	p.want("calls", "false: a call of the store or of the host has not returned; the log of the control plane names what")
	p.store.failFor(uuid.Nil)
	close(hangs)
	time.Sleep(time.Minute)
	p.want("calls", well)
}
