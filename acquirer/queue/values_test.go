package queue_test

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/invalid"
)

func TestStatesAndOutcomes(t *testing.T) {
	t.Parallel()
	for s, final := range map[queue.State]bool{
		queue.Pending: false, queue.Running: false, queue.Succeeded: true, queue.Failed: true, queue.Canceled: true,
	} {
		if s.Final() != final {
			t.Errorf("%s is final: %v", s, !final)
		}
	}
	for o, s := range map[queue.Outcome]queue.State{
		queue.OutcomeSucceeded: queue.Succeeded, queue.OutcomeFailed: queue.Failed, queue.OutcomeCanceled: queue.Canceled,
		queue.OutcomeRequeued: queue.Pending, queue.OutcomeReleased: queue.Pending,
	} {
		if o.State() != s {
			t.Errorf("%s leads to %s", o, o.State())
		}
	}
}

func TestLineOrder(t *testing.T) {
	t.Parallel()
	line := []queue.Job{
		{Priority: 2, Order: 9, ID: uuid.UUID{9}},
		{Priority: 1, Order: 1, ID: uuid.UUID{9}},
		{Priority: 1, Order: 2, ID: uuid.UUID{1}},
		{Priority: 1, Order: 2, ID: uuid.UUID{2}},
		{Priority: -1, Order: 0},
	}
	for i, a := range line {
		for k, b := range line {
			if a.Before(b) != (i < k) {
				t.Errorf("%d before %d: %v", i, k, a.Before(b))
			}
		}
	}
}

func TestCloneAndOutline(t *testing.T) {
	t.Parallel()
	job := queue.Job{
		ID: uuid.UUID{1}, Type: "build", State: queue.Failed, Payload: []byte("p"), Result: []byte("r"), Trace: "t", Error: "e",
		Progress: queue.Progress{Percent: 3}, Secret: queue.NewSecret(), SecretHash: queue.SecretHash{1}, Fence: 4,
	}
	clone := job.Clone()
	if !reflect.DeepEqual(clone, job) {
		t.Errorf("%+v", clone)
	}
	clone.Payload[0], clone.Result[0] = 'x', 'x'
	if !bytes.Equal(job.Payload, []byte("p")) || !bytes.Equal(job.Result, []byte("r")) {
		t.Error("a clone shares memory")
	}
	if got, want := job.Outline(), (queue.Job{ID: uuid.UUID{1}, Type: "build", State: queue.Failed, Fence: 4}); !reflect.DeepEqual(got, want) {
		t.Errorf("outline %+v", got)
	}
	if job.Lease() != (queue.Lease{Job: uuid.UUID{1}, Fence: 4}) {
		t.Error("Lease")
	}
}

// A handout is right in all of its parts, or not at all.
func TestHandoutOf(t *testing.T) {
	t.Parallel()
	secret := queue.NewSecret()
	job := queue.Job{ID: uuid.UUID{1}, Fence: 1, Organization: uuid.UUID{2}, Worker: uuid.UUID{3}, Secret: secret, SecretHash: secret.Hash(), State: queue.Running}
	right := job.Handout()
	if !right.Of(&job) {
		t.Fatal("the right handout is refused")
	}
	for name, change := range map[string]func(h *queue.Handout, j *queue.Job){
		"job":           func(h *queue.Handout, _ *queue.Job) { h.Lease.Job = uuid.UUID{9} },
		"fence":         func(h *queue.Handout, _ *queue.Job) { h.Lease.Fence++ },
		"organization":  func(h *queue.Handout, _ *queue.Job) { h.Organization = uuid.UUID{9} },
		"worker":        func(h *queue.Handout, _ *queue.Job) { h.Worker = uuid.UUID{9} },
		"secret":        func(h *queue.Handout, _ *queue.Job) { h.Secret[31]++ },
		"no secret":     func(h *queue.Handout, j *queue.Job) { h.Secret, j.SecretHash = queue.Secret{}, queue.SecretHash{} },
		"never claimed": func(h *queue.Handout, j *queue.Job) { h.Lease.Fence, j.Fence = 0, 0 },
	} {
		h, j := right, job
		change(&h, &j)
		if h.Of(&j) {
			t.Errorf("another %s is taken", name)
		}
	}
}

func TestEndAccepts(t *testing.T) {
	t.Parallel()
	secret := queue.NewSecret()
	job := queue.Job{ID: uuid.UUID{1}, Fence: 1, Secret: secret, SecretHash: secret.Hash(), Process: uuid.UUID{5}, State: queue.Running}
	for name, c := range map[string]struct {
		change func(e *queue.End, j *queue.Job)
		want   bool
	}{
		"worker":                 {func(*queue.End, *queue.Job) {}, true},
		"wrong secret":           {func(e *queue.End, _ *queue.Job) { e.Secret[0]++ }, false},
		"process":                {func(e *queue.End, _ *queue.Job) { e.Process, e.Secret = uuid.UUID{5}, queue.Secret{} }, true},
		"other process":          {func(e *queue.End, _ *queue.Job) { e.Process = uuid.UUID{6} }, false},
		"other fence":            {func(e *queue.End, j *queue.Job) { e.Process, j.Fence = uuid.UUID{5}, 2 }, false},
		"never claimed":          {func(e *queue.End, j *queue.Job) { e.Process, j.Fence, e.Lease.Fence = uuid.UUID{5}, 0, 0 }, false},
		"again":                  {func(e *queue.End, j *queue.Job) { e.Outcome, j.State = queue.OutcomeFailed, queue.Failed }, true},
		"again, otherwise":       {func(e *queue.End, j *queue.Job) { e.Outcome, j.State = queue.OutcomeFailed, queue.Succeeded }, false},
		"requeued again":         {func(e *queue.End, j *queue.Job) { e.Outcome, j.State = queue.OutcomeRequeued, queue.Pending }, true},
		"requeued, canceled":     {func(e *queue.End, j *queue.Job) { e.Outcome, j.State = queue.OutcomeRequeued, queue.Canceled }, true},
		"failed and canceled":    {func(e *queue.End, j *queue.Job) { e.Outcome, j.State = queue.OutcomeFailed, queue.Canceled }, false},
		"requeued and succeeded": {func(e *queue.End, j *queue.Job) { e.Outcome, j.State = queue.OutcomeRequeued, queue.Succeeded }, false},
	} {
		e, j := queue.End{Handout: job.Handout(), Outcome: queue.OutcomeSucceeded}, job
		c.change(&e, &j)
		if e.Accepts(&j) != c.want {
			t.Errorf("%s: %v", name, !c.want)
		}
	}
}

func TestSecretsOfAClaim(t *testing.T) {
	t.Parallel()
	c := queue.Claim{Secrets: []queue.SecretHash{{1}, {2}}}
	if c.SecretFor(0) != (queue.SecretHash{1}) || c.SecretFor(1) != (queue.SecretHash{2}) || c.SecretFor(2) != (queue.SecretHash{}) {
		t.Error("SecretFor")
	}
}

// What is exactly at a bound is taken, what is beyond it is not, and the refusal names the field.
func TestBounds(t *testing.T) {
	t.Parallel()
	posting := func(change func(p *queue.Posting)) func() error {
		return func() error {
			p := queue.Posting{Type: "build"}
			change(&p)
			return p.Validate()
		}
	}
	limits := func(l queue.Limits) func() error { return l.Validate }
	text := strings.Repeat
	for name, c := range map[string]struct {
		check func() error
		want  string
	}{
		"payload":             {posting(func(p *queue.Posting) { p.Payload = make([]byte, queue.MaxPayload) }), "<nil>"},
		"payload+":            {posting(func(p *queue.Posting) { p.Payload = make([]byte, queue.MaxPayload+1) }), "Posting.Payload"},
		"weight":              {posting(func(p *queue.Posting) { p.Weight = queue.MaxWeight }), "<nil>"},
		"weight+":             {posting(func(p *queue.Posting) { p.Weight = queue.MaxWeight + 1 }), "Posting.Weight"},
		"weight-":             {posting(func(p *queue.Posting) { p.Weight = -1 }), "Posting.Weight"},
		"unique":              {posting(func(p *queue.Posting) { p.Unique = text("x", queue.MaxUnique) }), "<nil>"},
		"unique+":             {posting(func(p *queue.Posting) { p.Unique = text("x", queue.MaxUnique+1) }), "Posting.Unique"},
		"unique of no text":   {posting(func(p *queue.Posting) { p.Unique = "a\x00" }), "Posting.Unique"},
		"trace":               {posting(func(p *queue.Posting) { p.Trace = text("x", queue.MaxTrace) }), "<nil>"},
		"trace+":              {posting(func(p *queue.Posting) { p.Trace = text("x", queue.MaxTrace+1) }), "Posting.Trace"},
		"trace of no text":    {posting(func(p *queue.Posting) { p.Trace = "\xff" }), "Posting.Trace"},
		"run limit":           {posting(func(p *queue.Posting) { p.RunLimit = 1 }), "<nil>"},
		"run limit-":          {posting(func(p *queue.Posting) { p.RunLimit = -1 }), "Posting.RunLimit"},
		"type":                {posting(func(p *queue.Posting) { p.Type = text("x", queue.MaxTypeBytes) }), "<nil>"},
		"type+":               {posting(func(p *queue.Posting) { p.Type = text("x", queue.MaxTypeBytes+1) }), "Posting.Type"},
		"result":              {queue.End{Outcome: queue.OutcomeFailed, Result: make([]byte, queue.MaxResult)}.Validate, "<nil>"},
		"result+":             {queue.End{Outcome: queue.OutcomeFailed, Result: make([]byte, queue.MaxResult+1)}.Validate, "End.Result"},
		"delay":               {queue.End{Outcome: queue.OutcomeRequeued}.Validate, "<nil>"},
		"delay-":              {queue.End{Outcome: queue.OutcomeRequeued, Delay: -1}.Validate, "End.Delay"},
		"outcome":             {queue.End{Outcome: queue.OutcomeReleased}.Validate, "<nil>"},
		"no outcome":          {queue.End{Outcome: queue.OutcomeRetried}.Validate, "End.Outcome"},
		"percent":             {queue.Report{Progress: &queue.Progress{Percent: 100}}.Validate, "<nil>"},
		"percent+":            {queue.Report{Progress: &queue.Progress{Percent: 101}}.Validate, "Report.Progress.Percent"},
		"percent 0":           {queue.Report{Progress: &queue.Progress{}}.Validate, "<nil>"},
		"percent-":            {queue.Report{Progress: &queue.Progress{Percent: -1}}.Validate, "Report.Progress.Percent"},
		"silence":             {queue.Report{}.Validate, "<nil>"},
		"silence-":            {queue.Report{Silence: -1}.Validate, "Report.Silence"},
		"per tenant":          {limits(queue.Limits{PerTenant: 0}), "<nil>"},
		"per tenant-":         {limits(queue.Limits{PerTenant: -1}), "Limits.PerTenant"},
		"tenant":              {limits(queue.Limits{Tenants: map[uuid.UUID]int{{}: 0}}), "<nil>"},
		"tenant-":             {limits(queue.Limits{Tenants: map[uuid.UUID]int{{}: -1}}), "Limits.Tenants[" + uuid.Nil.String() + "]"},
		"type's":              {limits(queue.Limits{Types: map[string]int{"x": 0}}), "<nil>"},
		"type's-":             {limits(queue.Limits{Types: map[string]int{"x": -1}}), "Limits.Types[x]"},
		"class":               {limits(queue.Limits{Classes: []queue.Class{{Max: 1}}}), "<nil>"},
		"class-":              {limits(queue.Limits{Classes: []queue.Class{{Max: 1}, {Max: 0}}}), "Limits.Classes[1].Max"},
		"processes":           {queue.ProcessQuery{Limit: 1000}.Validate, "<nil>"},
		"processes+":          {queue.ProcessQuery{Limit: 1001}.Validate, "ProcessQuery.Limit"},
		"processes 1":         {queue.ProcessQuery{Limit: 1}.Validate, "<nil>"},
		"processes-":          {queue.ProcessQuery{Limit: 0}.Validate, "ProcessQuery.Limit"},
		"request":             {func() error { _, err := queue.Request{Types: []string{"x"}}.Domain(); return err }, "<nil>"},
		"request's silence-":  {func() error { _, err := queue.Request{Types: []string{"x"}, Silence: -1}.Domain(); return err }, "Request.Silence"},
		"request, both wrong": {func() error { _, err := queue.Request{Silence: -1}.Domain(); return err }, "Request.Types"},
	} {
		if got := field(c.check()); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestPostingToJob(t *testing.T) {
	t.Parallel()
	p := queue.Posting{
		ID: uuid.UUID{1}, Organization: uuid.UUID{2}, Tenant: uuid.UUID{3}, Type: "build", Priority: 4, Weight: 5, Payload: []byte("p"),
		NotBefore: noon.Add(time.Hour), Trace: "t", Unique: "u", RunLimit: time.Minute,
	}
	got, err := p.Job(noon.Add(1))
	want := queue.Job{
		ID: uuid.UUID{1}, Organization: uuid.UUID{2}, Tenant: uuid.UUID{3}, Type: "build", Priority: 4, Weight: 5, Payload: []byte("p"),
		Trace: "t", Unique: "u", RunLimit: time.Minute, CreatedAt: noon, ReadyAt: noon.Add(time.Hour), State: queue.Pending,
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
	}
	got.Payload[0] = 'x'
	if string(p.Payload) != "p" {
		t.Error("the payload is shared")
	}
	p.ID, p.Weight, p.NotBefore = uuid.Nil, 0, noon.Add(-time.Hour)
	got, _ = p.Job(noon)
	if got.ID == uuid.Nil || got.ID.Version() != 7 || got.Weight != 1 || !got.ReadyAt.Equal(noon) {
		t.Errorf("defaults: %+v", got)
	}
}

func TestFairOrder(t *testing.T) {
	t.Parallel()
	const step = 1 << 20
	for _, c := range []struct {
		last, floor int64
		weight      int
		want        int64
	}{
		{0, 0, 1, step},
		{0, 0, 0, step},
		{0, 0, 2, step / 2},
		{step, 0, 1, 2 * step},
		{step, 0, 4, step + step/4},
		{0, 5 * step, 1, 5*step + queue.FairLead},
		{9 * step, 5 * step, 1, 10 * step},
		{0, 1, 1, step},
		{0, step, 1, step + queue.FairLead},
	} {
		if got := queue.FairOrder(c.last, c.floor, c.weight); got != c.want {
			t.Errorf("FairOrder(%d, %d, %d) = %d, want %d", c.last, c.floor, c.weight, got, c.want)
		}
	}
	if queue.FairLead != step/queue.MaxWeight {
		t.Error("FairLead is not the smallest step")
	}
}

// A tenant's later jobs are passed by the first jobs of others only so often, however many of them come.
func TestNobodyIsPassedForEver(t *testing.T) {
	t.Parallel()
	first := queue.FairOrder(0, 1, 1)
	second := queue.FairOrder(first, 1, 1)
	passed := 0
	for claimed := first; ; passed++ {
		if claimed = queue.FairOrder(0, claimed, queue.MaxWeight); claimed >= second { // a newcomer goes first
			break
		}
	}
	if passed == 0 || passed > queue.MaxWeight {
		t.Errorf("passed by %d newcomers of the greatest weight, want at most %d", passed, queue.MaxWeight)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	a, b := uuid.UUID{1}, uuid.UUID{2}
	l := queue.Limits{PerTenant: 3, Tenants: map[uuid.UUID]int{a: 7}}
	if l.Tenant(a) != 7 || l.Tenant(b) != 3 {
		t.Error("Tenant")
	}
	for _, some := range []queue.Limits{
		{PerTenant: 1}, {Tenants: map[uuid.UUID]int{a: 1}}, {Types: map[string]int{"x": 1}}, {Classes: []queue.Class{{Max: 1}}},
	} {
		if some.None() {
			t.Errorf("%+v limits nothing", some)
		}
		if !reflect.DeepEqual(some.Clone(), some) {
			t.Errorf("%+v cloned is %+v", some, some.Clone())
		}
	}
	if !(queue.Limits{}).None() {
		t.Error("zero limits limit something")
	}
	clone := l.Clone()
	clone.Tenants[a] = 1
	if l.Tenants[a] != 7 {
		t.Error("a clone shares memory")
	}
	base := queue.Limits{Classes: []queue.Class{{Priority: 9, Max: 9}}}
	got := base.WithReserves([]queue.Reserve{{Priority: 1, Of: 0.5}, {Priority: 0, Of: 0.01}}, 11)
	if want := []queue.Class{{9, 9}, {1, 5}, {0, 1}}; !reflect.DeepEqual(got.Classes, want) || len(base.Classes) != 1 {
		t.Errorf("%+v", got.Classes)
	}
	if got := base.WithReserves(nil, 11); !reflect.DeepEqual(got, base) {
		t.Errorf("%+v", got)
	}
}

func TestFullTenants(t *testing.T) {
	t.Parallel()
	a, b, c := uuid.UUID{1}, uuid.UUID{2}, uuid.UUID{3}
	var room queue.Room
	room.Add(queue.Lane{}, a, 2)
	room.Add(queue.Lane{}, b, 1)
	room.Add(queue.Lane{}, c, 9)
	limits := queue.Limits{PerTenant: 2, Tenants: map[uuid.UUID]int{c: 0}}
	if got := room.FullTenants(limits); !reflect.DeepEqual(got, []uuid.UUID{a}) {
		t.Errorf("%v", got)
	}
	room.Add(queue.Lane{}, a, -1)
	if got := room.FullTenants(limits); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

func TestIsAnswer(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]bool{
		queue.ErrProcessLost: true, queue.ErrLeaseLost: true, queue.ErrNotFound: true, invalid.New("x", 1, "y"): true,
		queue.ErrStopped: false, queue.ErrTimeout: false, errors.New("x"): false,
	} {
		if queue.IsAnswer(fmt.Errorf("wrapped: %w", err)) != want {
			t.Errorf("%v is an answer: %v", err, !want)
		}
	}
	if queue.IsAnswer(nil) {
		t.Error("no error is an answer")
	}
}

func TestDomainRunsAndKeys(t *testing.T) {
	t.Parallel()
	domain := func(org byte, tags map[string]string, types ...string) queue.Domain {
		d, err := queue.NewDomain(uuid.UUID{org}, types, tags)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	gpu := map[string]string{"gpu": "yes"}
	domains := []queue.Domain{
		domain(1, nil, "a"), domain(2, nil, "a"), domain(1, gpu, "a"), domain(1, nil, "a", "b"), domain(1, nil, "ab"), domain(1, nil, "b"),
		domain(1, map[string]string{"gpu": "no"}, "a"), domain(1, nil, "a", "b", "c"),
	}
	keys := make(map[string]int)
	for i, d := range domains {
		if k, ok := keys[d.Key()]; ok {
			t.Errorf("%+v and %+v have one key", domains[k], d)
		}
		keys[d.Key()] = i
	}
	if domain(1, gpu, "b", "a", "b").Key() != domain(1, gpu, "a", "b").Key() {
		t.Error("the order of types matters, or doubles do")
	}
	lane := queue.Lane{Organization: uuid.UUID{1}, Type: "a"}
	for i, want := range []bool{true, false, false, true, false, false, false, true} {
		if domains[i].Runs(lane) != want {
			t.Errorf("%+v runs the lane: %v", domains[i], !want)
		}
	}
	many := make([]string, queue.MaxTypes+1)
	for i := range many {
		many[i] = fmt.Sprint("t", i)
	}
	if _, err := queue.NewDomain(uuid.Nil, many[:queue.MaxTypes], nil); err != nil {
		t.Error(err)
	}
	if _, err := queue.NewDomain(uuid.Nil, many, nil); field(err) != "types" {
		t.Error(err)
	}
}

func TestTagsWrittenOut(t *testing.T) {
	t.Parallel()
	set, err := queue.NewTagSet(map[string]string{"b": "2", "a": "1", "scope": "organization", "owner": ""})
	if err != nil || !reflect.DeepEqual(set.Tags(), []queue.Tag{{Key: "a", Value: "1"}, {Key: "b", Value: "2"}}) {
		t.Errorf("%v, %v", set.Tags(), err)
	}
	personal, _ := queue.NewTagSet(map[string]string{"scope": "user", "owner": "ann"})
	if !reflect.DeepEqual(personal.Tags(), []queue.Tag{{Key: "owner", Value: "ann"}, {Key: "scope", Value: "user"}}) {
		t.Errorf("%v", personal.Tags())
	}
	for _, text := range []string{"1", "1:", "1:ab1:c", "x:a1:b", "-1:a", "9:a", "01:a1:b", "1:a", ":"} {
		if _, err := queue.ParseTagSet(text); err == nil {
			t.Errorf("%q is taken for a tag set", text)
		}
	}
	many := make(map[string]string)
	for i := range queue.MaxTags {
		many[fmt.Sprint("k", i)] = ""
	}
	if _, err := queue.NewTagSet(many); err != nil {
		t.Error(err)
	}
	many["one more"] = ""
	if _, err := queue.NewTagSet(many); field(err) != "tags" || !strings.Contains(err.Error(), fmt.Sprint(queue.MaxTags)) {
		t.Error(err)
	}
}

func TestReportToRenewal(t *testing.T) {
	t.Parallel()
	r := queue.Report{
		Handout:  queue.Handout{Lease: queue.Lease{Fence: 3}},
		Progress: &queue.Progress{Percent: 7, Message: strings.Repeat("m", 9999)},
		Lines:    []queue.Line{{Text: strings.Repeat("x", 99999)}, {At: noon.Add(-1500), Text: "a\x00"}, {At: noon.Add(1), Text: "b"}},
	}
	got := r.Renewal(uuid.UUID{5}, noon)
	if got.Handout != r.Handout || got.Process != (uuid.UUID{5}) || got.Progress.Percent != 7 || len(got.Progress.Message) != queue.MaxMessageText {
		t.Errorf("%+v", got)
	}
	if len(got.Lines) != 3 || !got.Lines[0].At.Equal(noon) || len(got.Lines[0].Text) != queue.MaxLine ||
		got.Lines[1] != (queue.Line{At: noon.Add(-2000), Text: queue.CleanText("a\x00", 99)}) || got.Lines[2] != (queue.Line{At: noon, Text: "b"}) {
		t.Errorf("%d lines: %v", len(got.Lines), got.Lines[1:])
	}
	if got := (queue.Report{}).Renewal(uuid.Nil, noon); got.Progress != nil || got.Lines != nil {
		t.Errorf("%+v", got)
	}
}
