package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/examples/controlplane/api"
	"github.com/dormouse-go/dormouse/examples/controlplane/auth"
	"github.com/dormouse-go/dormouse/examples/controlplane/gate"
	"github.com/dormouse-go/dormouse/store/memory"
)

// into reads an answer that has to be one.
func into[T any](s *service, token, method, path, body string, header ...string) (v T) {
	s.Helper()
	w := s.call(token, method, path, body, header...)
	if w.Code >= 300 {
		s.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
	}
	if w.Body.Len() > 0 {
		must(s.T, json.Unmarshal(w.Body.Bytes(), &v))
	}
	return v
}

type secret struct{ ID, Token string }

// No file of the database holds a secret, and an answer that has one is not kept for whoever repeats the request.
func TestSecretsAreNotKept(t *testing.T) {
	s := newService(t)
	admin := s.tokens[auth.Admin]
	var secrets []string
	for path, body := range map[string]string{"/owners/ann/tokens": "", "/admins/eve/tokens": "", "/workers": `{"name":"w","slots":1}`} {
		if w := s.call(admin, "POST", "/api/v1"+path, body, "Idempotency-Key", "k"); w.Code != http.StatusUnprocessableEntity || strings.Contains(w.Body.String(), "plane_") {
			t.Errorf("%s under a key: %d %s", path, w.Code, w.Body)
		}
		_, text, _ := strings.Cut(strings.TrimPrefix(into[secret](s, admin, "POST", "/api/v1"+path, body).Token, "plane_"), "_")
		secrets = append(secrets, text)
	}
	files, err := filepath.Glob(filepath.Join(s.folder, "*"))
	must(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		must(t, err)
		for _, s := range secrets {
			if len(s) != 52 || strings.Contains(string(text), s) {
				t.Errorf("%s holds the secret %q", filepath.Base(file), s)
			}
		}
	}
	if len(files) == 0 {
		t.Error("there is no database")
	}
}

// Tokens are replaced without a gap: several of one name are valid, an admin finds and ends them, and the last admin cannot lock
// everybody out.
func TestTokensAreReplaced(t *testing.T) {
	s := newService(t)
	admin := s.tokens[auth.Admin]
	before := into[secret](s, admin, "POST", "/api/v1/admins/eve/tokens", "")
	after := into[secret](s, before.Token, "POST", "/api/v1/admins/eve/tokens", "")
	listed := into[struct {
		Items []struct{ ID, Kind, Name string }
	}](s, after.Token, "GET", "/api/v1/tokens", "")
	var eves []string
	for _, one := range listed.Items {
		if one.Kind == "admin" && one.Name == "eve" {
			eves = append(eves, one.ID)
		}
	}
	if !slices.Equal(eves, []string{before.ID, after.ID}) {
		t.Fatalf("listed %+v", listed)
	}
	if w := s.call(after.Token, "DELETE", "/api/v1/tokens/"+after.ID, ""); w.Code != http.StatusUnprocessableEntity {
		t.Errorf("its own: %d %s", w.Code, w.Body)
	}
	into[any](s, after.Token, "DELETE", "/api/v1/tokens/"+before.ID, "")
	if w := s.call(before.Token, "GET", "/api/v1/me", ""); w.Code != http.StatusUnauthorized {
		t.Errorf("ended: %d", w.Code)
	}
}

// Whoever is refused is counted, and told to the log with their token or address, once and not for each request.
func TestRefusedIsTold(t *testing.T) {
	s := newService(t)
	for range 5 {
		s.call("plane_nobody_x", "GET", "/api/v1/me", "")
		s.call(s.tokens[auth.Owner], "GET", "/api/v1/jobs", "")
	}
	want := `
# HELP controlplane_refusals_total Requests that were refused for who sent them, or for how many these were.
# TYPE controlplane_refusals_total counter
controlplane_refusals_total{code="401"} 5
controlplane_refusals_total{code="403"} 5
controlplane_refusals_total{code="429"} 0
`
	if err := testutil.GatherAndCompare(s.registry, strings.NewReader(want), "controlplane_refusals_total"); err != nil {
		t.Error(err)
	}
	said := s.said.lines(t, "requests are refused")
	if len(said) != 2 {
		t.Fatalf("said %v", said)
	}
	public, _, _ := strings.Cut(strings.TrimPrefix(s.tokens[auth.Owner], "plane_"), "_")
	if said[0]["token"] != "" || said[0]["address"] == "" || said[0]["code"] != 401.0 || said[1]["token"] != public || said[1]["by"] != "some owner" || said[1]["code"] != 403.0 {
		t.Errorf("said %v", said)
	}
	for _, line := range said {
		if text, _ := json.Marshal(line); strings.Contains(string(text), "plane_") {
			t.Errorf("a token is in the log: %s", text)
		}
	}
}

// Whatever somebody does is a line of the log, with who it was and the public part of their token, also when it was not done.
func TestVerbsAreSigned(t *testing.T) {
	s := newService(t)
	public, _, _ := strings.Cut(strings.TrimPrefix(s.tokens[auth.Admin], "plane_"), "_")
	done := 0
	for _, pattern := range s.handler.Patterns() {
		method, path, _ := strings.Cut(pattern, " ")
		if method == http.MethodGet || strings.HasPrefix(path, "/worker/") {
			continue
		}
		done++
		w := s.call(s.tokens[auth.Admin], method, "/api/v1"+parameter.ReplaceAllStringFunc(path, func(string) string { return uuid.NewString() }), "")
		said := s.said.lines(t, "a request was answered")
		if len(said) != done {
			t.Fatalf("%s: %d lines for %d verbs", pattern, len(said), done)
		}
		if last := said[done-1]; last["route"] != pattern || last["by"] != "some admin" || last["token"] != public || last["request_id"] != w.Header().Get("X-Request-Id") || last["code"] != float64(w.Code) {
			t.Errorf("%s: %v", pattern, last)
		}
	}
	if done < 25 {
		t.Errorf("only %d verbs", done)
	}
}

// Who asks for more than a share is told when to come again; others are not held up by it.
func TestSharesAreApart(t *testing.T) {
	s := newService(t, func(c *api.Config) { c.Gate = gate.New(gate.Config{Rate: 1, Burst: 5, Logger: c.Logger}) })
	refused := 0
	for range 30 {
		w := s.call(s.tokens[auth.Owner], "GET", "/api/v1/me", "")
		if w.Code == http.StatusTooManyRequests && w.Header().Get("Retry-After") != "" && strings.Contains(w.Body.String(), "too_many") {
			refused++
		}
	}
	if refused < 10 {
		t.Errorf("%d of 30 were refused", refused)
	}
	into[api.Me](s, s.tokens[auth.Admin], "GET", "/api/v1/me", "")
}

// One identity keeps so many answers under keys and no more, and what is refused for that is not done.
func TestKeysAreBounded(t *testing.T) {
	s := newService(t, func(c *api.Config) { c.MaxKeys = 2 })
	admin := s.tokens[auth.Admin]
	for i, want := range []int{200, 200, 429, 429} {
		w := s.call(admin, "PUT", fmt.Sprintf("/api/v1/owners/o%d", i), `{}`, "Idempotency-Key", fmt.Sprint("k", i))
		if w.Code != want {
			t.Errorf("key %d: %d %s", i, w.Code, w.Body)
		}
	}
	if w := s.call(admin, "PUT", "/api/v1/owners/o0", `{}`, "Idempotency-Key", "k0"); w.Header().Get("Idempotency-Replayed") != "true" {
		t.Errorf("one that is kept: %d %s", w.Code, w.Body)
	}
	if list := into[api.Page[dormouse.Owner]](s, admin, "GET", "/api/v1/owners", ""); len(list.Items) != 2 {
		t.Errorf("owners %+v", list.Items)
	}
}

// Pages are followed to their end, and each line is there once.
func TestPagesOfBuilds(t *testing.T) {
	s, ann, _ := withTemplate(t)
	ws := s.create(ann, "api")
	for i := range 5 {
		_, err := s.plane.Observe(t.Context(), ws.ID, dormouse.Observation{Running: i%2 == 0})
		must(t, err)
	}
	var numbers []int64
	for before := ""; ; {
		page := into[struct {
			Items []dormouse.BuildRecord
			Next  string
		}](s, ann, "GET", "/api/v1/workspaces/"+ws.ID.String()+"/builds?limit=2"+before, "")
		for _, b := range page.Items {
			numbers = append(numbers, b.Number)
		}
		if page.Next == "" {
			break
		}
		before = "&before=" + page.Next
	}
	if !slices.Equal(numbers, []int64{5, 4, 3, 2, 1}) {
		t.Errorf("builds %v", numbers)
	}
}

// running runs the plane of a service for a test.
func (s *service) running() {
	ctx, cancel := context.WithCancel(s.Context())
	done := make(chan error, 1)
	go func() { done <- s.plane.Run(ctx) }()
	s.Cleanup(func() {
		cancel()
		must(s.T, <-done)
	})
}

// acquire asks for a job until there is one.
func (s *service) acquire(token string) queue.Job {
	s.Helper()
	for begun := time.Now(); time.Since(begun) < time.Minute; {
		w := s.call(token, "POST", "/api/v1/worker/acquire", `{}`)
		if w.Code == http.StatusOK {
			var job queue.Job
			must(s.T, json.Unmarshal(w.Body.Bytes(), &job))
			return job
		}
	}
	s.Fatal("no job")
	return queue.Job{}
}

// A worker says nothing about what another one holds. When its registration ends, what it holds is handed on at once, and it is nobody.
func TestWorkersAreApartAndEnd(t *testing.T) {
	s, ann, _ := withTemplate(t)
	s.running()
	admin := s.tokens[auth.Admin]
	first := into[secret](s, admin, "POST", "/api/v1/workers", `{"name":"one","slots":1}`)
	second := into[secret](s, admin, "POST", "/api/v1/workers", `{"name":"two","slots":1}`)
	ws := s.create(ann, "api")
	into[dormouse.Workspace](s, ann, "POST", "/api/v1/workspaces/"+ws.ID.String()+"/start", "")
	job := s.acquire(first.Token)
	stray := job.Handout()
	stray.Lease.Job = uuid.New()
	for path, say := range map[string]func(queue.Handout) string{"/api/v1/worker/renew": reportOn, "/api/v1/worker/end": endOf} {
		theirs := s.call(second.Token, "POST", path, say(job.Handout()))
		none := s.call(second.Token, "POST", path, say(stray))
		if theirs.Code != http.StatusConflict || theirs.Body.String() != none.Body.String() {
			t.Errorf("%s of somebody else: %d %s, of no job: %s", path, theirs.Code, theirs.Body, none.Body)
		}
	}
	into[bool](s, first.Token, "POST", "/api/v1/worker/renew", reportOn(job.Handout()))
	into[any](s, admin, "DELETE", "/api/v1/workers/"+first.ID, "")
	if w := s.call(first.Token, "POST", "/api/v1/worker/end", endOf(job.Handout())); w.Code != http.StatusUnauthorized {
		t.Errorf("ended, and heard: %d %s", w.Code, w.Body)
	}
	again := s.acquire(second.Token)
	if again.ID != job.ID || again.Attempt != job.Attempt+1 {
		t.Errorf("handed on %s, attempt %d, of %s", again.ID, again.Attempt, job.ID)
	}
	into[queue.Job](s, second.Token, "POST", "/api/v1/worker/end", endOf(again.Handout()))
}

func reportOn(h queue.Handout) string {
	text, _ := json.Marshal(queue.Report{Handout: h})
	return string(text)
}

func endOf(h queue.Handout) string {
	text, _ := json.Marshal(queue.End{Handout: h, Outcome: queue.OutcomeSucceeded})
	return string(text)
}

// What the tables cannot hold is refused with its field, and a name that is an id would hide the template that has it.
func TestTemplatesThatCannotBe(t *testing.T) {
	s, _, _ := withTemplate(t)
	body := func(source, tags string) string {
		return `{"provisioner":"terraform","source":"` + source + `","tags":{` + tags + `},"policy":{}}`
	}
	for name, c := range map[string]struct{ path, body, field string }{
		"not UTF-8":       {"%FF", template, "name"},
		"control":         {"a%1Bb", template, "name"},
		"an id":           {uuid.NewString(), template, "name"},
		"zero in source":  {"x", body(`a\u0000b`, ""), "source"},
		"zero in a tag":   {"x", body("a", `"k":"\u0000"`), "tags"},
		"a reserved tag":  {"x", body("a", `"scope":"world"`), "tags"},
		"no provisioner":  {"x", `{"provisioner":"","policy":{}}`, "provisioner"},
		"nothing to make": {"x", body("", ""), "source"},
	} {
		w := s.call(s.tokens[auth.Admin], "PUT", "/api/v1/templates/"+c.path, c.body)
		var p dormouse.Problem
		must(t, json.Unmarshal(w.Body.Bytes(), &p))
		if w.Code != http.StatusUnprocessableEntity || p.Field != c.field {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}

// The names of workers need not differ, and their idempotency keys are apart all the same.
func TestKeysOfWorkersAreApart(t *testing.T) {
	s := newService(t)
	for _, body := range []string{`{"hers":1}`, `{"his":1}`} { // kept as refused, each for itself
		token := into[secret](s, s.tokens[auth.Admin], "POST", "/api/v1/workers", `{"name":"w","slots":1}`).Token
		w := s.call(token, "POST", "/api/v1/worker/end", body, "Idempotency-Key", "k")
		var p dormouse.Problem
		must(t, json.Unmarshal(w.Body.Bytes(), &p))
		if w.Code != http.StatusUnprocessableEntity || p.Field != "body" {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
	}
}

// The jobs of another organization in the same store are as jobs that are not there, in every route.
func TestJobsOfAnotherOrganization(t *testing.T) {
	s := newService(t)
	s.running()
	posted, err := s.plane.Acquirer().Enqueue(t.Context(), queue.Posting{Organization: uuid.New(), Type: "render"})
	must(t, err)
	tried := 0
	for path, methods := range described(t).Paths {
		if !strings.HasPrefix(path, "/jobs/{id}") {
			continue
		}
		for method := range methods {
			tried++
			ask := func(id uuid.UUID) string {
				w := s.call(s.tokens[auth.Admin], strings.ToUpper(method), "/api/v1"+strings.Replace(path, "{id}", id.String(), 1), map[string]string{"post": "{}"}[method])
				return fmt.Sprint(w.Code, " ", w.Body)
			}
			if theirs, none := ask(posted[0].ID), ask(uuid.New()); theirs != none || !strings.HasPrefix(theirs, "404") {
				t.Errorf("%s %s: %s, of none: %s", method, path, theirs, none)
			}
		}
	}
	if after, err := s.plane.Acquirer().Explain(t.Context(), posted[0].ID); err != nil || after.Job.State != queue.Pending {
		t.Errorf("afterwards %+v, %v", after.Job, err)
	}
	if tried < 4 {
		t.Errorf("only %d routes", tried)
	}
	elsewhere := queue.Pause{Scope: queue.Scope{Organization: uuid.New(), Type: "render"}, Note: "theirs"}
	must(t, s.plane.Acquirer().Pause(t.Context(), elsewhere))
	into[any](s, s.tokens[auth.Admin], "DELETE", "/api/v1/pauses?type=render", "")
	if w := s.call(s.tokens[auth.Admin], "GET", "/api/v1/pauses", ""); w.Code != http.StatusOK || strings.Contains(w.Body.String(), "theirs") {
		t.Errorf("pauses: %d %s", w.Code, w.Body)
	}
	if all, err := s.plane.Acquirer().Pauses(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("the pauses of all: %+v, %v", all, err)
	}
}

// What keeps the jobs of an organization back is listed and examined for its admins, also where it is a pause of everybody, but for who
// has set that and why. Other organizations' pauses are not, and a pause of everybody is not for an organization to end.
func TestPausesOfAnOrganization(t *testing.T) {
	s := newServiceOf(t, memory.New(), uuid.New())
	admin := s.tokens[auth.Admin]
	for _, p := range []queue.Pause{
		{Scope: queue.Scope{Organization: uuid.New()}, Note: "theirs", By: "eve"},
		{Scope: queue.Scope{Organization: uuid.New(), Type: "render"}, Note: "theirs", By: "eve"},
	} {
		must(t, s.plane.Acquirer().Pause(t.Context(), p))
	}
	looks := func() (string, string) {
		return s.call(admin, "GET", "/api/v1/pauses", "").Body.String(), s.call(admin, "GET", "/api/v1/doctor", "").Body.String()
	}
	if list, found := looks(); !strings.Contains(list, `"items":[]`) || !strings.Contains(found, "nothing is paused") {
		t.Errorf("beside pauses of others: %s, %s", list, found)
	}
	into[any](s, admin, "PUT", "/api/v1/pauses", `{"type":"backup","note":"ours"}`)
	must(t, s.plane.Acquirer().Pause(t.Context(), queue.Pause{Note: "the move", By: "root"}))
	into[any](s, admin, "DELETE", "/api/v1/pauses", "")
	if w := s.call(admin, "PUT", "/api/v1/pauses", `{"everybody":true}`); w.Code != http.StatusUnprocessableEntity {
		t.Errorf("a pause of everybody by an organization: %d %s", w.Code, w.Body)
	}
	list := into[api.Page[api.Pause]](s, admin, "GET", "/api/v1/pauses", "").Items
	if len(list) != 2 {
		t.Fatalf("pauses: %+v", list)
	}
	for _, p := range list {
		if everybody := p.Type == ""; p.Everybody != everybody || everybody != (p.Note != "ours") || everybody != (p.By == "") || everybody && p.Note != "" {
			t.Errorf("listed %+v", p)
		}
	}
	posted, err := s.plane.Acquirer().Enqueue(t.Context(), queue.Posting{Organization: s.plane.Organization(), Type: "render"})
	must(t, err)
	if why := into[api.JobWhy](s, admin, "GET", "/api/v1/jobs/"+posted[0].ID.String(), "").Text; !strings.Contains(why, "paused since") || strings.Contains(why, "root") {
		t.Errorf("a job waits because: %s", why)
	}
	if _, found := looks(); strings.Contains(found, "eve") || strings.Contains(found, "root") || !strings.Contains(found, "; there is another pause") {
		t.Errorf("the doctor says %s", found)
	}
}
