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

var jobEnqueueTests = []jobTest{
	{"StoredAsMade", enqueueStoredAsMade},
	{"NewID", enqueueNewID},
	{"Repeated", enqueueRepeated},
	{"RepeatedWithNew", enqueueRepeatedWithNew},
	{"RepeatedAfterEnd", enqueueRepeatedAfterEnd},
	{"InvalidStoresNone", enqueueInvalid},
	{"Nothing", enqueueNothing},
	{"OrderNumbers", enqueueOrderNumbers},
	{"OrderIsPerOrganizationAndPriority", enqueueOrderScope},
	{"Floor", enqueueFloor},
}

func enqueueStoredAsMade(k *jobKit) {
	p := queue.Posting{
		ID: uuid.New(), Organization: k.org, Tenant: uuid.New(), Type: "build",
		Tags:     map[string]string{"zone": "ü", "scope": "user", "owner": "me"},
		Priority: -3, Weight: 7, Payload: []byte{0, 1, 255}, Trace: "00-abc-def-01",
		NotBefore: k.now.Add(time.Hour), Unique: "once ü", RunLimit: 90 * time.Minute,
	}
	want, err := p.Job(k.now)
	k.noError(err, "Posting.Job")
	got := k.enqueue(p)[0]
	want.Order = got.Order
	k.must(reflect.DeepEqual(got, want), "Enqueue stores the job made by Posting.Job", "got  %+v\n\twant %+v", got, want)
	stored := k.get(p.ID)
	k.must(reflect.DeepEqual(stored, got), "Enqueue returns the jobs as stored", "returned %+v\n\tstored   %+v", got, stored)
}

func enqueueNewID(k *jobKit) {
	p := k.posting()
	p.ID = uuid.Nil
	a, b := k.enqueue(p)[0], k.enqueue(p)[0]
	k.must(a.ID != uuid.Nil && a.ID != b.ID, "a posting without an ID makes a new job", "ids %s and %s", a.ID, b.ID)
}

func enqueueRepeated(k *jobKit) {
	p := k.posting()
	first := k.enqueue(p)[0]
	k.pass(time.Minute)
	p.Priority, p.Payload = 5, []byte("other")
	second := k.enqueue(p)[0]
	k.must(second.Duplicate && !first.Duplicate, "the answer says that a posting made no job", "%v, then %v", first.Duplicate, second.Duplicate)
	second.Duplicate = false
	k.must(reflect.DeepEqual(first, second), "a posting whose ID is stored already changes nothing", "first  %+v\n\tsecond %+v", first, second)
	k.must(len(k.claim(2, first)) == 1, "a repeated posting makes no second job", "two jobs were claimed")
}

func enqueueRepeatedWithNew(k *jobKit) {
	old := k.posting()
	k.enqueue(old)
	list := []queue.Posting{k.posting(), old, k.posting()}
	jobs := k.enqueue(list...)
	for i, j := range jobs {
		k.must(j.ID == list[i].ID, "Enqueue returns the jobs in the order of the postings, stored ones included", "place %d holds %s, want %s", i, j.ID, list[i].ID)
	}
	k.must(len(k.claim(9, jobs...)) == 3, "new postings beside a repeated one are stored", "not all three were claimed")
}

func enqueueRepeatedAfterEnd(k *jobKit) {
	p := k.posting()
	k.enqueue(p)
	job := k.claim(1, k.get(p.ID))[0]
	k.end(queue.End{Handout: k.handout(job), Outcome: queue.OutcomeSucceeded})
	again := k.enqueue(p)[0]
	k.must(again.State == queue.Succeeded, "a posting repeated after the job ended brings nothing back", "state %s", again.State)
	k.must(len(k.ready().Lanes) == 0, "an ended job is in no lane", "%d lanes", len(k.ready().Lanes))
}

func enqueueInvalid(k *jobKit) {
	good, bad := k.posting(), k.posting(ofType(""))
	_, err := k.store.Enqueue(k.ctx, k.now, []queue.Posting{good, bad})
	k.must(errors.Is(err, invalid.Err), "an invalid posting is refused with ErrInvalid", "error %v", err)
	var field *invalid.Error
	k.must(errors.As(err, &field) && strings.Contains(field.Field, "Posting.Type"), "the refusal names the field", "error %v", err)
	k.must(len(k.jobs(queue.Filter{IDs: []uuid.UUID{good.ID}})) == 0, "if one posting is invalid, none is stored", "the valid one was stored")
}

func enqueueNothing(k *jobKit) {
	jobs, err := k.store.Enqueue(k.ctx, k.now, nil)
	k.must(err == nil && len(jobs) == 0, "empty input is no error", "%d jobs, error %v", len(jobs), err)
}

func enqueueOrderNumbers(k *jobKit) {
	tenant, heavy := uuid.New(), uuid.New()
	first := k.enqueue(k.posting(ofTenant(tenant)), k.posting(ofTenant(tenant)))
	third := k.enqueue(k.posting(ofTenant(tenant)))
	got := []int64{first[0].Order, first[1].Order, third[0].Order}
	want := chain(0, 0, 1, 1, 1)
	k.must(reflect.DeepEqual(got, want), "jobs are numbered by FairOrder with the tenant's last number, also within one call", "got %d, want %d", got, want)

	weigh := func(p *queue.Posting) { p.Tenant, p.Weight = heavy, 4 }
	jobs := k.enqueue(k.posting(weigh), k.posting(weigh))
	got, want = []int64{jobs[0].Order, jobs[1].Order}, chain(0, 0, 4, 4)
	k.must(reflect.DeepEqual(got, want), "a tenant's weight shortens its steps", "got %d, want %d", got, want)
}

// chain numbers jobs of one tenant with these weights.
func chain(last, floor int64, weights ...int) []int64 {
	var orders []int64
	for _, w := range weights {
		last = queue.FairOrder(last, floor, w)
		orders = append(orders, last)
	}
	return orders
}

func enqueueOrderScope(k *jobKit) {
	tenant := uuid.New()
	base := k.enqueue(k.posting(ofTenant(tenant)))[0]
	high := k.enqueue(k.posting(ofTenant(tenant), withPriority(1)))[0]
	other := k.enqueue(k.posting(ofTenant(tenant), func(p *queue.Posting) { p.Organization = uuid.New() }))[0]
	otherType := k.enqueue(k.posting(ofTenant(tenant), ofType("scan")))[0]
	first := queue.FairOrder(0, 0, 1)
	k.must(base.Order == first && high.Order == first && other.Order == first, "order numbers belong to an organization and priority", "orders %d, %d, %d, want %d", base.Order, high.Order, other.Order, first)
	k.must(otherType.Order == queue.FairOrder(first, 0, 1), "a tenant's last number is over all its types and tags", "order %d", otherType.Order)
}

func enqueueFloor(k *jobKit) {
	busy := uuid.New()
	jobs := k.enqueue(k.postings(10, ofTenant(busy))...)
	claimed := k.claim(8, jobs...)
	floor := claimed[len(claimed)-1].Order
	late := k.enqueue(k.posting())[0]
	k.must(late.Order >= floor, "a new job is not numbered below the number claimed last", "order %d, claimed last %d", late.Order, floor)
	k.must(late.Order < jobs[9].Order, "a tenant who comes late is not put behind all that wait", "order %d, last waiting %d", late.Order, jobs[9].Order)
}
