package storetest

import (
	"errors"
	"reflect"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/invalid"
)

var jobPauseTests = []jobTest{
	{"Scopes", pauseScopes},
	{"Limited", pauseLimited},
	{"Listing", pauseListing},
	{"Until", pauseUntil},
	{"EndsGoOn", pauseEnds},
	{"Stored", pauseStored},
	{"Refused", pauseRefused},
	{"Pruned", pausePruned},
}

func (k *jobKit) pause(p queue.Pause) {
	k.t.Helper()
	p.At = k.now
	k.noError(k.store.PauseJobs(k.ctx, p), "PauseJobs")
}

func (k *jobKit) resume(s queue.Scope) bool {
	k.t.Helper()
	was, err := k.store.ResumeJobs(k.ctx, s)
	k.noError(err, "ResumeJobs")
	return was
}

func pauseScopes(k *jobKit) {
	other := uuid.New()
	inOther := func(p *queue.Posting) { p.Organization = other }
	for _, c := range []struct {
		scope queue.Scope
		stops [4]bool // build and scan here, build and scan elsewhere
	}{
		{queue.Scope{Organization: k.org}, [4]bool{true, true, false, false}},
		{queue.Scope{Type: "build"}, [4]bool{true, false, true, false}},
		{queue.Scope{Organization: k.org, Type: "build"}, [4]bool{true, false, false, false}},
		{queue.Scope{}, [4]bool{true, true, true, true}},
	} {
		jobs := k.enqueue(k.posting(), k.posting(ofType("scan")), k.posting(inOther), k.posting(ofType("scan"), inOther))
		k.pause(queue.Pause{Scope: c.scope})
		for i, j := range jobs {
			k.must((len(k.claim(1, j)) == 0) == c.stops[i], "a claim takes no job that is paused, and every other", "job %d, scope %+v", i, c.scope)
		}
		k.must(k.resume(c.scope) && !k.resume(c.scope), "ResumeJobs says whether there was a pause", "it does not")
		for i, j := range jobs {
			k.must((len(k.claim(1, j)) == 1) == c.stops[i], "what was paused can be claimed afterwards", "job %d, scope %+v", i, c.scope)
		}
	}
}

func pauseLimited(k *jobKit) {
	jobs := k.enqueue(k.posting(), k.posting(ofType("scan")))
	k.pause(queue.Pause{Scope: queue.Scope{Type: "build"}})
	claimed := k.claimWithin(queue.Limits{PerTenant: 5}, 2, jobs...)
	k.must(sameJobs(claimed.Jobs, jobs[1:]), "a claim with limits takes no job that is paused, and every other", "%+v", claimed)
	k.must(!claimed.Limited, "a pause is no limit", "%+v", claimed)
}

func pauseListing(k *jobKit) {
	scan := k.enqueue(k.posting(), k.posting(ofType("scan")))[1]
	k.pause(queue.Pause{Scope: queue.Scope{Organization: k.org, Type: "build"}})
	for _, organizations := range [][]uuid.UUID{nil, {k.org}} {
		listing := k.ready(organizations...)
		k.must(len(listing.Lanes) == 1 && listing.Lanes[0].Lane == scan.Lane(), "a lane that is paused is not listed, every other is", "%+v", listing.Lanes)
	}
	k.resume(queue.Scope{Organization: k.org, Type: "build"})
	k.must(len(k.ready().Lanes) == 2, "a lane is listed when its pause is lifted", "%+v", k.ready().Lanes)
}

func pauseUntil(k *jobKit) {
	job := k.enqueue(k.posting())[0]
	until := k.now.Add(time.Minute)
	k.enqueue(k.posting(notBefore(k.now.Add(time.Hour))))
	k.pause(queue.Pause{Scope: queue.Scope{Organization: k.org}, Until: until})
	k.must(k.ready().Next.Equal(until) && k.ready(k.org).Next.Equal(until), "Next is not after the end of a pause", "%s, %s, want %s", k.ready().Next, k.ready(k.org).Next, until)
	k.must(k.ready(uuid.New()).Next.IsZero(), "the pause of another organization does not matter", "%s", k.ready(uuid.New()).Next)
	k.pass(time.Minute)
	k.must(len(k.ready().Lanes) == 1 && len(k.claim(1, job)) == 1, "a pause ends by itself", "it does not")
	pauses, err := k.store.Pauses(k.ctx, k.now)
	k.must(err == nil && len(pauses) == 0, "a pause that has ended is not listed", "%+v, error %v", pauses, err)
}

func pauseEnds(k *jobKit) {
	job := k.running()
	k.pause(queue.Pause{Scope: queue.Scope{Organization: k.org}})
	k.must(k.renew(queue.Renewal{Handout: k.handout(job), Process: k.process}).Err == nil, "what runs goes on while it is paused", "its report was refused")
	k.must(k.end(queue.End{Handout: k.handout(job), Outcome: queue.OutcomeSucceeded}).Err == nil, "what runs ends while it is paused", "its end was refused")
	k.must(len(k.enqueue(k.posting())) == 1, "jobs are posted while they are paused", "they are not")
}

func pauseStored(k *jobKit) {
	first := queue.Pause{Scope: queue.Scope{Type: "a"}, At: k.now, By: "ann ü", Note: "maintenance", Until: k.now.Add(time.Hour)}
	second := queue.Pause{Scope: queue.Scope{Organization: k.org}, At: k.now}
	k.pause(queue.Pause{Scope: first.Scope, By: "bob"})
	k.pause(first)
	k.pause(second)
	pauses, err := k.store.Pauses(k.ctx, k.now)
	k.noError(err, "Pauses")
	k.must(reflect.DeepEqual(pauses, []queue.Pause{first, second}), "pauses are listed as stored, by organization and type, one for each scope", "%+v", pauses)
	k.pause(queue.Pause{Scope: first.Scope, By: strings.Repeat("x", 2*queue.MaxActor), Note: strings.Repeat("x", 2*queue.MaxNote)})
	pauses, _ = k.store.Pauses(k.ctx, k.now)
	k.must(len(pauses[0].By) == queue.MaxActor && len(pauses[0].Note) == queue.MaxNote, "long texts are cut", "%d and %d bytes", len(pauses[0].By), len(pauses[0].Note))
}

func pauseRefused(k *jobKit) {
	err := k.store.PauseJobs(k.ctx, queue.Pause{Scope: queue.Scope{Type: "a\x00b"}, At: k.now})
	_, resumed := k.store.ResumeJobs(k.ctx, queue.Scope{Type: "\xff"})
	k.must(errors.Is(err, invalid.Err) && errors.Is(resumed, invalid.Err), "a pause of what is no type is refused, and so is its end", "errors %v, %v", err, resumed)
	west := time.FixedZone("", -12*60*60)
	for _, until := range []time.Time{time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 0, 0, 0, west), time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)} {
		err := k.store.PauseJobs(k.ctx, queue.Pause{Scope: queue.Scope{Organization: k.org}, At: k.now, Until: until})
		k.must(errors.Is(err, invalid.Err), "a pause until an instant that not every store and JSON can write is refused", "error %v", err)
	}
}

// pausePruned: a host that pauses many scopes for a while each keeps no row of them for ever.
func pausePruned(k *jobKit) {
	over, later, endless := queue.Scope{Organization: k.org}, queue.Scope{Organization: k.org, Type: "a"}, queue.Scope{Organization: k.org, Type: "b"}
	k.pause(queue.Pause{Scope: over, Until: k.now.Add(time.Minute)})
	k.pause(queue.Pause{Scope: later, Until: k.now.Add(time.Hour)})
	k.pause(queue.Pause{Scope: endless})
	k.pass(2 * time.Minute)
	_, err := k.store.PruneJobs(k.ctx, k.now, 10)
	k.noError(err, "PruneJobs")
	k.must(!k.resume(over), "PruneJobs deletes the pauses that ended before the time", "one is left")
	k.must(k.resume(later) && k.resume(endless), "PruneJobs keeps the pauses in force", "it does not")
}
