package storetest

import (
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

var jobOrganizationTests = []jobTest{
	{"Reading", organizationsReading},
	{"Writing", organizationsWriting},
}

// tenantJobs are jobs of one organization: one of each state, all in the one lane that the other organization has too.
type tenantJobs struct {
	org                             uuid.UUID
	pending, delayed, running, done queue.Job
}

func (t tenantJobs) all() []queue.Job { return []queue.Job{t.pending, t.delayed, t.running, t.done} }

// twoOrganizations have the same jobs: types, tags, tenants, unique keys.
func (k *jobKit) twoOrganizations() (mine, theirs tenantJobs) {
	tenant := uuid.New()
	begin := func(org uuid.UUID) (t tenantJobs) {
		t.org = org
		same := func(p *queue.Posting) { p.Organization, p.Tenant = org, tenant }
		t.done, t.running = k.running(same), k.running(same)
		k.must(k.end(queue.End{Handout: k.handout(t.done), Outcome: queue.OutcomeSucceeded}).Err == nil, "End ends a running job", "it does not")
		t.done = k.get(t.done.ID)
		t.pending = k.enqueue(k.posting(same, func(p *queue.Posting) { p.Unique = "one" }))[0]
		t.delayed = k.enqueue(k.posting(same, notBefore(k.now.Add(time.Hour))))[0]
		k.must(!t.pending.Duplicate, "a unique key is its organization's", "the other's job was returned")
		return t
	}
	return begin(k.org), begin(uuid.New())
}

func (k *jobKit) onlyOf(t tenantJobs, jobs []queue.Job, n int, what string) {
	k.t.Helper()
	k.must(len(jobs) == n, what+" has the jobs of the organization", "%d jobs, want %d", len(jobs), n)
	for _, j := range jobs {
		k.must(j.Organization == t.org, what+" has no job of another organization", "%+v", j)
	}
}

func organizationsReading(k *jobKit) {
	mine, theirs := k.twoOrganizations()
	ids := idsOfJobs(append(mine.all(), theirs.all()...))
	lane := theirs.pending.Lane()
	for _, t := range []tenantJobs{mine, theirs} {
		k.onlyOf(t, k.jobs(queue.Filter{IDs: ids, Organization: &t.org}), 4, "Jobs by ids")
		k.onlyOf(t, k.jobs(queue.Filter{Process: k.process, Organization: &t.org}), 1, "Jobs by process")
		page, err := k.store.ListJobs(k.ctx, queue.JobQuery{Organization: t.org, Limit: 100})
		k.noError(err, "ListJobs")
		k.onlyOf(t, page.Jobs, 4, "ListJobs")
		place := queue.PlaceOf(theirs.done)
		place.CreatedAt = place.CreatedAt.Add(time.Hour)
		page, err = k.store.ListJobs(k.ctx, queue.JobQuery{Organization: t.org, After: place, Limit: 100})
		k.noError(err, "ListJobs")
		k.onlyOf(t, page.Jobs, 4, "ListJobs after a place in the list of another organization")
		counts, err := k.store.CountJobs(k.ctx, queue.JobQuery{Organization: t.org}, 100)
		k.noError(err, "CountJobs")
		k.must(counts.States[queue.Pending] == 2 && counts.States[queue.Running] == 1 && counts.States[queue.Succeeded] == 1,
			"CountJobs counts the jobs of the organization", "%+v", counts)
		listing := k.ready(t.org)
		k.must(len(listing.Lanes) == 1 && listing.Lanes[0].Lane == t.pending.Lane() && listing.Lanes[0].Count == 1,
			"Ready has the lanes of the organization alone", "%+v", listing)
		ahead, err := k.store.Ahead(k.ctx, t.pending.ID, 100)
		k.noError(err, "Ahead")
		for _, l := range ahead {
			k.must(l.Lane.Organization == t.org, "Ahead has the lanes of the organization alone", "%+v", l)
		}
	}
	k.must(len(k.jobs(queue.Filter{Lane: &lane, Organization: &mine.org})) == 0, "Jobs by the lane of another organization finds nothing", "it does")
}

func organizationsWriting(k *jobKit) {
	mine, theirs := k.twoOrganizations()
	before := theirs.all()
	claimed := k.claim(10, mine.pending)
	k.onlyOf(mine, claimed, 1, "Claim")
	ids := idsOfJobs(theirs.all())
	canceled, err := k.store.Cancel(k.ctx, queue.Cancellation{Now: k.now, IDs: ids, Reason: "forged", Organization: &mine.org})
	k.noError(err, "Cancel")
	k.must(len(canceled) == 0, "Cancel leaves the jobs of another organization alone", "%+v", canceled)
	retried, err := k.store.RetryJobs(k.ctx, queue.Retry{Now: k.now, IDs: idsOfJobs(append(mine.all(), theirs.all()...)), Organization: &mine.org})
	k.noError(err, "RetryJobs")
	k.onlyOf(mine, retried, 1, "RetryJobs")
	wrong := k.handout(theirs.running)
	wrong.Organization = mine.org
	renewed := k.renew(queue.Renewal{Handout: wrong, Process: k.process, Lines: []queue.Line{{At: k.now, Text: "forged"}}})
	k.must(errors.Is(renewed.Err, queue.ErrLeaseLost), "Renew compares the organization", "%v", renewed.Err)
	ended := k.end(queue.End{Handout: wrong, Outcome: queue.OutcomeSucceeded})
	k.must(errors.Is(ended.Err, queue.ErrLeaseLost) && ended.Job.ID == uuid.Nil, "End compares the organization", "%+v", ended)
	k.noError(k.store.PauseJobs(k.ctx, queue.Pause{Scope: queue.Scope{Organization: mine.org}, At: k.now, By: "mine"}), "PauseJobs")
	for i, j := range theirs.all() {
		got := k.get(j.ID)
		k.must(got.State == before[i].State && got.CancelAt.IsZero() && got.Error == before[i].Error, "nothing of it has an effect on another organization", "%+v", got)
	}
	was, err := k.store.ResumeJobs(k.ctx, queue.Scope{Organization: theirs.org})
	k.noError(err, "ResumeJobs")
	k.must(!was, "ResumeJobs lifts no pause of another organization", "it does")
	k.must(len(k.claim(10, theirs.pending)) == 1, "a pause of one organization does not stop another", "nothing was claimed")
	k.must(k.end(queue.End{Handout: k.handout(theirs.running), Outcome: queue.OutcomeSucceeded}).Err == nil, "the worker that has a job ends it", "it does not")
}
