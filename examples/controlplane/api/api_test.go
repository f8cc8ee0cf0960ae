package api_test

import (
	"encoding/json"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/examples/controlplane/api"
	"github.com/dormouse-go/dormouse/examples/controlplane/auth"
	"github.com/dormouse-go/dormouse/lifecycle"
)

const template = `{"provisioner":"process","policy":{"default_ttl":"8h0m0s","allow_user_ttl":true,"allow_user_autostart":true}}`

// withTemplate is a service with a template and two owners.
func withTemplate(t *testing.T) (s *service, ann, ben string) {
	s = newService(t)
	if w := s.call(s.tokens[auth.Admin], "PUT", "/api/v1/templates/web", template); w.Code != http.StatusOK {
		t.Fatal(w.Code, w.Body)
	}
	var tokens []string
	for _, name := range []string{"ann", "ben"} {
		var secret struct{ Token string }
		w := s.call(s.tokens[auth.Admin], "POST", "/api/v1/owners/"+name+"/tokens", "")
		must(t, json.Unmarshal(w.Body.Bytes(), &secret))
		tokens = append(tokens, secret.Token)
	}
	return s, tokens[0], tokens[1]
}

func (s *service) create(token, name string, header ...string) (ws dormouse.Workspace) {
	s.Helper()
	w := s.call(token, "POST", "/api/v1/workspaces", `{"template":"web","name":"`+name+`"}`, header...)
	if w.Code != http.StatusOK {
		s.Fatal(w.Code, w.Body)
	}
	must(s.T, json.Unmarshal(w.Body.Bytes(), &ws))
	return ws
}

// What is somebody else's is as what is not there, in every route, and lists have one's own.
func TestOwnersAreApart(t *testing.T) {
	s, ann, ben := withTemplate(t)
	hers := s.create(ann, "hers")
	tried := 0
	for path, methods := range described(t).Paths {
		rest, ok := strings.CutPrefix(path, "/workspaces/{id}")
		for method, operation := range methods {
			if !ok || !slices.Contains(operation.For, auth.Owner) {
				continue
			}
			tried++
			method, rest := strings.ToUpper(method), strings.ReplaceAll(rest, "{number}", "1")
			body := map[string]string{"PUT": `{"ttl":"1h"}`}[method]
			real := s.call(ben, method, "/api/v1/workspaces/"+hers.ID.String()+rest, body)
			none := s.call(ben, method, "/api/v1/workspaces/"+uuid.Nil.String()+rest, body)
			if real.Code != http.StatusNotFound || strings.ReplaceAll(real.Body.String(), hers.ID.String(), uuid.Nil.String()) != none.Body.String() {
				t.Errorf("%s %s: %d %s, of none %d %s", method, path, real.Code, real.Body, none.Code, none.Body)
			}
		}
	}
	if tried < 15 {
		t.Errorf("only %d operations were tried", tried)
	}
	if w := s.call(ben, "GET", "/api/v1/workspaces?owner=ann", ""); strings.Contains(w.Body.String(), "hers") {
		t.Errorf("the list of somebody else: %s", w.Body)
	}
	if w := s.call(ben, "POST", "/api/v1/workspaces", `{"template":"web","name":"x","owner":"ann"}`); w.Code != http.StatusUnprocessableEntity {
		t.Errorf("for somebody else: %d %s", w.Code, w.Body)
	}
}

// A change for a revision that is not there any more is refused, and says so.
func TestIfMatch(t *testing.T) {
	s, ann, _ := withTemplate(t)
	path := "/api/v1/workspaces/" + s.create(ann, "api").ID.String()
	seen := s.call(ann, "GET", path, "").Header().Get("ETag")
	first := s.call(ann, "PUT", path+"/ttl", `{"ttl":"1h"}`, "If-Match", seen)
	if first.Code != http.StatusOK || first.Header().Get("ETag") == seen {
		t.Fatal(first.Code, first.Body)
	}
	if w := s.call(ann, "PUT", path+"/ttl", `{"ttl":"2h"}`, "If-Match", seen); w.Code != http.StatusPreconditionFailed {
		t.Errorf("with the revision before: %d %s", w.Code, w.Body)
	}
	if w := s.call(ann, "PUT", path+"/ttl", `{"ttl":"2h"}`, "If-Match", "yesterday"); w.Code != http.StatusUnprocessableEntity {
		t.Errorf("with no revision: %d %s", w.Code, w.Body)
	}
}

// The same request under the same key is done once; another one is refused.
func TestIdempotencyKey(t *testing.T) {
	s, ann, ben := withTemplate(t)
	first, again := s.create(ann, "api", "Idempotency-Key", "k1"), s.create(ann, "api", "Idempotency-Key", "k1")
	if first.ID != again.ID {
		t.Errorf("one key made %s and %s", first.ID, again.ID)
	}
	w := s.call(ann, "POST", "/api/v1/workspaces", `{"template":"web","name":"api"}`, "Idempotency-Key", "k1")
	if w.Header().Get("Idempotency-Replayed") != "true" {
		t.Errorf("a repeated request: %v", w.Header())
	}
	if w := s.call(ann, "POST", "/api/v1/workspaces", `{"template":"web","name":"other"}`, "Idempotency-Key", "k1"); w.Code != http.StatusUnprocessableEntity {
		t.Errorf("another request: %d %s", w.Code, w.Body)
	}
	if theirs := s.create(ben, "api", "Idempotency-Key", "k1"); theirs.ID == first.ID {
		t.Error("two owners share a key")
	}
}

// Errors name the field, the value and the rule, and nothing more than a share is done.
func TestRefusals(t *testing.T) {
	s, ann, _ := withTemplate(t)
	ws := s.create(ann, "api")
	path := "/api/v1/workspaces/" + ws.ID.String()
	for _, c := range []struct {
		method, path, body, kind string
		code                     int
		field                    string
		header                   []string
	}{
		{"PUT", path + "/schedule", `{"hours":"never"}`, "invalid", 422, "Schedule.Hours", nil},
		{"PUT", path + "/ttl", `{"ttl":"soon"}`, "invalid", 422, "ttl", nil},
		{"POST", path + "/extend", `{"by":"later"}`, "invalid", 422, "by", nil},
		{"PUT", path + "/ttl", `{"ttl":"1h","other":1}`, "invalid", 422, "body", nil},
		{"PUT", path + "/ttl", `{"ttl":"1h"} {}`, "invalid", 422, "body", nil},
		{"PUT", path + "/ttl", ``, "invalid", 422, "body", nil},
		{"POST", path + "/start", `{}`, "invalid", 422, "body", nil},
		{"PUT", path + "/ttl", `{"ttl":"` + strings.Repeat("x", 40<<10) + `"}`, "too_long", 413, "", nil},
		{"PUT", path + "/ttl", `{"ttl":"1h"}`, "not_json", 415, "", []string{"Content-Type", "text/plain"}},
		{"PUT", path + "/ttl", `{"ttl":"1h"}`, "cross_origin", 403, "", []string{"Sec-Fetch-Site", "cross-site"}},
		{"POST", path + "/extend", `{"by":"1h"}`, "not_running", 409, "", nil},
		{"GET", "/api/v1/workspaces/7", ``, "invalid", 422, "id", nil},
		{"GET", "/api/v1/workspaces?limit=x", ``, "invalid", 422, "limit", nil},
		{"GET", "/api/v1/jobs", ``, "not_for_you", 403, "", nil},
		{"GET", "/api/v1/nothing", ``, "not_found", 404, "", nil},
		{"PATCH", path, ``, "method_not_allowed", 405, "", nil},
	} {
		w := s.call(ann, c.method, c.path, c.body, c.header...)
		var p dormouse.Problem
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != c.code || p.Status != c.code || !strings.HasSuffix(p.Type, ":"+c.kind) || p.Field != c.field {
			t.Errorf("%s %s %.40s: %d %s, %v", c.method, c.path, c.body, w.Code, w.Body, err)
		}
	}
	s.create(ann, "two")
	s.create(ann, "three")
	if w := s.call(ann, "POST", "/api/v1/workspaces", `{"template":"web","name":"four"}`); w.Code != http.StatusTooManyRequests {
		t.Errorf("more workspaces than one may have: %d %s", w.Code, w.Body)
	}
	if me := into[api.Me](s, ann, "GET", "/api/v1/me", ""); me.Workspaces != 3 || me.MaxWorkspaces != 3 || time.Since(me.Now).Abs() > time.Minute {
		t.Errorf("what is told of it before: %+v", me)
	}
	for _, verb := range []string{"PUT /hold", "DELETE /hold", "POST /retry"} { // a hold of one's own would be a policy of one's own
		method, rest, _ := strings.Cut(verb, " ")
		if w := s.call(ann, method, path+rest, ""); w.Code != http.StatusForbidden {
			t.Errorf("%s by its owner: %d %s", verb, w.Code, w.Body)
		}
	}
}

// The description names rules as a policy has them: all of them, and none that it would not know.
func TestRulesAreDescribed(t *testing.T) {
	text, err := os.ReadFile("openapi.json")
	must(t, err)
	var file struct {
		Components struct {
			Schemas map[string]struct {
				Properties map[string]struct {
					Type        any
					Description string
				}
			}
		}
	}
	must(t, json.Unmarshal(text, &file))
	members := map[string]any{}
	for name, p := range file.Components.Schemas["LifecyclePolicy"].Properties {
		members[name] = map[any]any{"boolean": true, "integer": 1, "string": ""}[p.Type]
		if p.Description != "" {
			members[name] = "1h"
		}
	}
	members["holidays_hold"], members["requirement_days"] = "all", "Mon"
	text, err = json.Marshal(members)
	must(t, err)
	var p lifecycle.Policy
	must(t, json.Unmarshal(text, &p))
	if len(p.Unknown()) > 0 || len(members) < 28 {
		t.Errorf("%d rules, unknown: %q", len(members), p.Unknown())
	}
}

// A rule that is misspelled is not kept as something of a later version, wherever a policy is taken.
func TestMisspelledRules(t *testing.T) {
	s, _, _ := withTemplate(t)
	admin := s.tokens[auth.Admin]
	var plan map[string]any
	must(t, json.Unmarshal(s.call(admin, "POST", "/api/v1/templates/web/plan", `{"policy":{}}`).Body.Bytes(), &plan))
	plan["change"].(map[string]any)["policy"] = map[string]any{"ttl_default": "8h0m0s"}
	planned, err := json.Marshal(plan)
	must(t, err)
	for path, body := range map[string]string{
		"PUT /templates/web":          `{"provisioner":"process","policy":{"ttl_default":"8h0m0s"}}`,
		"POST /templates/web/plan":    `{"policy":{"ttl_default":"8h0m0s"}}`,
		"POST /templates/web/apply":   string(planned),
		"POST /templates/web/compare": string(planned),
		"POST /simulate":              `{"candidates":[{"name":"a","policy":{"ttl_default":"8h0m0s"}}],"from":"2026-01-01T00:00:00Z","until":"2026-01-02T00:00:00Z"}`,
	} {
		method, path, _ := strings.Cut(path, " ")
		w := s.call(admin, method, "/api/v1"+path, body)
		var p dormouse.Problem
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != http.StatusUnprocessableEntity || p.Value != "ttl_default" {
			t.Errorf("%s %s: %d %s, %v", method, path, w.Code, w.Body, err)
		}
	}
}

// Rules that a later version has stored stay: the policy that somebody takes, changes and sends back is planned, compared and carried
// out, and the plan may be sent again. A rule that is misspelled beside them is refused all the same.
func TestRulesOfALaterVersion(t *testing.T) {
	s, _, _ := withTemplate(t)
	admin := s.tokens[auth.Admin]
	web := into[dormouse.Template](s, admin, "GET", "/api/v1/templates/web", "")
	must(t, json.Unmarshal([]byte(`{"default_ttl":"8h0m0s","later_rule":{"of":"days"}}`), &web.Policy))
	_, err := s.plane.PutTemplate(t.Context(), web)
	must(t, err)
	const path, policy = "/api/v1/templates/web", `{"default_ttl":"9h0m0s","later_rule":{"of":"days"}}`
	into[any](s, admin, "PUT", path, `{"provisioner":"process","policy":`+policy+`}`)
	plan := s.call(admin, "POST", path+"/plan", `{"policy":`+policy+`}`).Body.String()
	for _, step := range []string{"/compare", "/apply", "/apply"} {
		if w := s.call(admin, "POST", path+step, plan); w.Code != http.StatusOK {
			t.Errorf("%s: %d %s", step, w.Code, w.Body)
		}
	}
	if after := s.call(admin, "GET", path, "").Body.String(); !strings.Contains(after, `"later_rule":{"of":"days"}`) || !strings.Contains(after, `"9h0m0s"`) {
		t.Errorf("afterwards %s", after)
	}
	typo := `{"policy":{"ttl_default":"8h0m0s","later_rule":1}}`
	if w := s.call(admin, "POST", path+"/plan", typo); w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), `"ttl_default"`) {
		t.Errorf("beside a misspelled rule: %d %s", w.Code, w.Body)
	}
	simulate := func(policy string) (int, string) {
		w := s.call(admin, "POST", "/api/v1/simulate", `{"candidates":[{"name":"a","policy":`+policy+`}],"from":"2026-01-01T00:00:00Z","until":"2026-01-02T00:00:00Z"}`)
		return w.Code, w.Body.String()
	}
	if code, body := simulate(policy); code != http.StatusOK {
		t.Errorf("simulated: %d %s", code, body)
	}
	if code, body := simulate(`{"ttl_default":"8h0m0s","later_rule":1}`); code != http.StatusUnprocessableEntity || !strings.Contains(body, `"ttl_default"`) {
		t.Errorf("simulated with a misspelled rule: %d %s", code, body)
	}
	drops := s.call(admin, "POST", path+"/plan", `{"policy":{"default_ttl":"9h0m0s"}}`).Body.String()
	for range 2 {
		if w := s.call(admin, "POST", path+"/apply", drops); w.Code != http.StatusOK {
			t.Errorf("without the rule: %d %s", w.Code, w.Body)
		}
	}
}

// A token that is ended, and one with another secret, are nobody's.
func TestTokensEnd(t *testing.T) {
	s, ann, _ := withTemplate(t)
	id, _, _ := strings.Cut(strings.TrimPrefix(ann, "plane_"), "_")
	if w := s.call("plane_"+id+"_"+strings.Repeat("A", 52), "GET", "/api/v1/me", ""); w.Code != http.StatusUnauthorized {
		t.Errorf("another secret: %d", w.Code)
	}
	if w := s.call(s.tokens[auth.Admin], "DELETE", "/api/v1/tokens/"+id, ""); w.Code != http.StatusNoContent {
		t.Fatal(w.Code, w.Body)
	}
	if w := s.call(ann, "GET", "/api/v1/me", ""); w.Code != http.StatusUnauthorized {
		t.Errorf("after its end: %d", w.Code)
	}
}
