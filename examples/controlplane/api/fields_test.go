package api_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/examples/controlplane/api"
	"github.com/dormouse-go/dormouse/examples/controlplane/auth"
)

// evils are values, as they stand in JSON, that no field should be hurt by.
var evils = []string{
	`null`, `true`, `""`, `[]`, `{}`, `0`, `-1`, `0.5`, `-0.0`, `1e308`, `-1e308`, `1e400`,
	`9223372036854775807`, `-9223372036854775808`, `9223372036854775808`, `99999999999999999999999`, `"NaN"`, `"Infinity"`,
	`"2562047h47m16.854775807s"`, `"-2562047h47m16.854775808s"`, `"1ns"`, `"-1h"`, `"0s"`, `"9999999999h"`,
	`"0000-01-01T00:00:00+23:59"`, `"0001-01-01T00:00:00.000000001Z"`, `"9999-12-31T23:59:59.999999999Z"`, `"9999-12-31T23:59:59-23:59"`, `"10000-01-01T00:00:00Z"`, `"2026-01-01T00:00:00Z"`,
	`"\u0000"`, `"a\u0000b"`, `"\ud800"`, `"\udc00\ud800"`, `"\u202egnp.exe"`, `"\u001b[2J\u001b]0;x\u0007"`, `"a\r\nb: c"`, `"\u2028"`, `"\u200b"`, "\"\xff\xfe\"", `"<script>alert(1)</script>"`,
	`"%"`, `"_"`, `"';--"`, `"../../etc/passwd"`, `"018f0000-0000-7000-8000-000000000001"`, `"00000000-0000-0000-0000-000000000000"`,
	`["\u0000"]`, `{"a\u0000":"b"}`, `{"scope":"user"}`, `[1e400]`, `"` + strings.Repeat("x", 20<<10) + `"`, `"` + strings.Repeat(`\u0000`, 2000) + `"`,
}

// schema is what the file says of a type.
type schema struct {
	Ref        string            `json:"$ref"`
	Properties map[string]schema `json:"properties"`
	Items      *schema           `json:"items"`
}

// leaves are the places in a value of a type, each a list of keys; "0" is the first of a list.
func leaves(all map[string]schema, s schema, depth int) (list [][]string) {
	if s.Ref != "" {
		s = all[s.Ref[strings.LastIndex(s.Ref, "/")+1:]]
	}
	if depth == 0 {
		return nil
	}
	if s.Items != nil {
		s.Properties = map[string]schema{"0": *s.Items}
	}
	for name, p := range s.Properties {
		list = append(list, []string{name})
		for _, rest := range leaves(all, p, depth-1) {
			list = append(list, append([]string{name}, rest...))
		}
	}
	return list
}

// put returns a value with another one at a place.
func put(v any, place []string, evil json.RawMessage) any {
	if len(place) == 0 {
		return evil
	}
	if place[0] == "0" {
		list, _ := v.([]any)
		if len(list) == 0 {
			list = []any{nil}
		}
		list = slices.Clone(list)
		list[0] = put(list[0], place[1:], evil)
		return list
	}
	fields, _ := v.(map[string]any)
	fields = maps.Clone(fields)
	if fields == nil {
		fields = map[string]any{}
	}
	fields[place[0]] = put(fields[place[0]], place[1:], evil)
	return fields
}

// sent is JSON with a raw value in it that need not be JSON.
func sent(v any, place []string, evil string) string {
	text, err := json.Marshal(put(v, place, json.RawMessage(`"@@evil@@"`)))
	if err != nil {
		panic(err)
	}
	return strings.Replace(string(text), `"@@evil@@"`, evil, 1)
}

// hidden is a character that nobody should be shown as it is.
func hidden(r rune) bool {
	return unicode.IsControl(r) && r != '\n' && r != '\t' && r != '\r' || unicode.Is(unicode.Cf, r) && r != '\u200c' && r != '\u200d' && r != '\u00ad' || r == '\u2028'
}

// seen fails for an answer that is a failure, no JSON, or holds what nobody should be shown.
func (s *service) seen(what string, code int, body string) {
	s.Helper()
	if code >= 500 && code != http.StatusNotImplemented {
		s.Errorf("%.300s: %d %.300s", what, code, body)
		return
	}
	if !strings.HasPrefix(body, "{") && !strings.HasPrefix(body, "[") {
		return
	}
	var v any
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		s.Errorf("%.300s: %d is no JSON: %v: %.300s", what, code, err, body)
	}
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case string:
			if strings.ContainsFunc(v, hidden) {
				s.Errorf("%.300s: %d shows %.100q", what, code, v)
			}
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			for k, e := range v {
				walk(k)
				walk(e)
			}
		}
	}
	walk(v)
}

// target is a service with something of everything.
type target struct {
	*service
	admin, ann, worker string
	ws                 dormouse.Workspace
	looks              []string
}

func newTarget(t *testing.T) *target {
	return newTargetOf(newService(t, func(c *api.Config) { c.MaxWorkspaces = 1 << 30 }))
}

func newTargetOf(s *service) *target {
	g := &target{service: s, admin: s.tokens[auth.Admin]}
	for _, name := range []string{"web", "other"} {
		into[any](s, g.admin, "PUT", "/api/v1/templates/"+name, template)
	}
	g.ann = into[secret](s, g.admin, "POST", "/api/v1/owners/ann/tokens", "").Token
	g.worker = into[secret](s, g.admin, "POST", "/api/v1/workers", `{"name":"w","slots":9}`).Token
	g.ws = s.create(g.ann, "api")
	w, err := s.plane.Observe(s.Context(), g.ws.ID, dormouse.Observation{Running: true})
	must(s.T, err)
	g.ws = w
	one := "/workspaces/" + w.ID.String()
	g.looks = []string{
		"/workspaces?limit=1000", one, one + "/explain", one + "/upcoming?n=5", one + "/calendar.ics?n=5", one + "/builds", "/templates", "/templates/web", "/templates/other",
		"/jobs", "/owners", "/pauses", "/tokens", "/workers", "/pools",
	}
	return g
}

// look asks for everything, after something was let in.
func (g *target) look(after string, more ...string) {
	g.Helper()
	for _, path := range append(slices.Clone(g.looks), more...) {
		w := g.call(g.admin, "GET", "/api/v1"+path, "")
		g.seen("GET "+path+" after "+after, w.Code, w.Body.String())
		if w.Code != http.StatusOK {
			g.Errorf("GET %s after %.300s: %d %.300s", path, after, w.Code, w.Body)
		}
	}
}

// bodies are those that are accepted, by route.
func (g *target) bodies() map[string]any {
	later := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	hold := map[string]any{"until": later, "note": "n"}
	policy := map[string]any{"default_ttl": "8h0m0s", "allow_user_ttl": true, "allow_user_autostart": true}
	planned := into[map[string]any](g.service, g.admin, "POST", "/api/v1/templates/other/plan", `{"policy":{"default_ttl":"9h0m0s"}}`)
	lease := map[string]any{"Lease": map[string]any{"Job": uuid.NewString(), "Fence": 1}}
	return map[string]any{
		"PUT /hold":                      hold,
		"POST /jobs/{id}/cancel":         map[string]any{"note": "n"},
		"POST /jobs/{id}/retry":          map[string]any{"note": "n"},
		"PUT /owners/{name}":             map[string]any{"quiet_hours": "Europe/Berlin 22:00"},
		"PUT /pauses":                    map[string]any{"type": "render", "until": later, "note": "n"},
		"POST /pools/{name}/claims":      map[string]any{"name": "x"},
		"POST /simulate":                 map[string]any{"from": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z", "candidates": []any{map[string]any{"name": "a", "policy": policy}}},
		"PUT /templates/{name}":          map[string]any{"provisioner": "process", "policy": policy},
		"POST /templates/{name}/apply":   planned,
		"POST /templates/{name}/compare": planned,
		"PUT /templates/{name}/hold":     hold,
		"POST /templates/{name}/plan":    map[string]any{"policy": policy},
		"POST /worker/acquire":           map[string]any{},
		"POST /worker/end":               map[string]any{"Lease": lease["Lease"], "Outcome": "succeeded"},
		"POST /worker/renew":             lease,
		"POST /workers":                  map[string]any{"name": "w", "slots": 1},
		"POST /workspaces":               map[string]any{"template": "web", "name": "x", "owner": "ann"},
		"PUT /workspaces/{id}/deadline":  map[string]any{"until": later},
		"POST /workspaces/{id}/extend":   map[string]any{"by": "1h"},
		"PUT /workspaces/{id}/hold":      hold,
		"PUT /workspaces/{id}/schedule":  map[string]any{"hours": "Europe/Berlin Mon-Fri 09:00-17:00"},
		"PUT /workspaces/{id}/ttl":       map[string]any{"ttl": "5h"},
	}
}

// lookers change nothing, or nothing of which a list speaks.
var lookers = regexp.MustCompile(`/(plan|compare|simulate|acquire|renew)$`)

// Whatever stands in one field of a body that would be accepted: it is refused, or accepted and everything can be shown afterwards.
func TestHostileFields(t *testing.T) {
	text, err := os.ReadFile("openapi.json")
	must(t, err)
	var file struct {
		Paths map[string]map[string]struct {
			For  []auth.Kind `json:"x-for"`
			Body struct {
				Content map[string]struct{ Schema schema }
			} `json:"requestBody"`
		}
		Components struct{ Schemas map[string]schema }
	}
	must(t, json.Unmarshal(text, &file))
	g := newTarget(t)
	g.running()
	g.hasty = true
	bodies := g.bodies()
	inputs, accepted := 0, 0
	for path, methods := range file.Paths {
		for method, o := range methods {
			content, ok := o.Body.Content["application/json"]
			if !ok {
				continue
			}
			pattern := strings.ToUpper(method) + " " + path
			base, ok := bodies[pattern]
			if !ok {
				t.Errorf("%s is not tried", pattern)
				continue
			}
			token := g.admin
			if o.For[0] == auth.Worker {
				token = g.worker
			}
			real := "/api/v1" + strings.NewReplacer("/workspaces/{id}", "/workspaces/"+g.ws.ID.String(), "{id}", uuid.NewString(), "{name}", "other").Replace(path)
			for _, place := range leaves(file.Components.Schemas, content.Schema, 4) {
				if i := slices.Index(place, "policy"); i > 0 && i < len(place)-1 { // rules are tried where a policy is put and planned
					continue
				}
				for _, evil := range evils {
					inputs++
					body := sent(base, place, evil)
					w := g.call(token, strings.ToUpper(method), real, body)
					what := pattern + " with " + strings.Join(place, ".") + "=" + evil
					cut := strings.HasSuffix(path, "/acquire") && w.Code >= 500        // nobody waits here for what does not come
					if !cut && (!strings.HasSuffix(path, "/apply") || w.Code >= 300) { // a plan comes back to whoever has sent it
						g.seen(what, w.Code, w.Body.String())
					}
					if w.Code >= 300 {
						continue
					}
					if accepted++; !lookers.MatchString(path) {
						g.look(what)
					}
				}
			}
			g.look(pattern, "/doctor", "/forecast")
		}
	}
	if accepted < 100 {
		t.Error("little is accepted, so little is tried")
	}
	t.Logf("%d inputs, %d accepted", inputs, accepted)
}
