package controlplane_test

import (
	"encoding/json"
	"flag"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse"
)

var (
	hostileInputs = flag.Int("hostile", 10000, "how many hostile inputs TestHostileInputs sends")
	hostileSeed   = flag.Uint64("hostile.seed", 0, "the seed of TestHostileInputs; 0 is a new one")
)

// texts are what people should not be shown as it is, and what programs should not take for more than a text.
var texts = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `';DROP TABLE plane_tokens;--`, "${jndi:ldap://x}", "{{.}}", "%s%n%x", "../../etc/passwd",
	"\x1b[2J\x1b]0;title\a", "a\r\nSet-Cookie: x=1", "a\nb", "\u202egnp.exe", "\x00", "\xff\xfe", strings.Repeat("A", 5000), "=cmd|' /C calc'!A0", "\u200b", "ｆｕｌｌ", "👩‍🚀", "", " ",
	`\u0000`, "javascript:alert(1)", "CRON_TZ=./localtime 0 9 * * *", "-1", "9999999999999999999", "1e309", "null", "[]", "{}", "true", "0001-01-01T00:00:00Z", "99999h", "-5h", "NaN",
	"urn:dormouse:problem:internal", "*", "%00", "plane_aaaaaaaaaaaa_" + strings.Repeat("B", 52),
}

// strays are paths of no route.
var strays = []string{"/..%2f..%2fetc", "//workspaces", "/workspaces/../../owners", "/workspaces/{id}/nothing", "/{id}", "/worker/", "/openapi.json/.."}

// fields are names of fields of bodies.
var fields = []string{
	"template", "name", "owner", "hours", "autostart", "autostop", "ttl", "start", "until", "by", "rules", "note", "policy", "change", "provisioner", "source", "tags", "slots", "Lease", "Handout", "Secret", "Process", "Worker",
	"Organization", "Types", "Silence", "Lines", "Outcome", "Result", "ReadyAt", "candidates", "from", "if_empty", "type", "status", "quiet_hours", "Unknown",
}

// attacker sends what nobody should.
type attacker struct {
	*rand.Rand
	r       *replica
	routes  []string // "POST /workspaces/{id}/start"
	tokens  []string
	ids     []string
	secrets []string // what no answer may hold
}

func (a *attacker) text() string {
	if a.IntN(12) == 0 {
		return a.ids[a.IntN(len(a.ids))]
	}
	return texts[a.IntN(len(texts))]
}

func (a *attacker) value(depth int) any {
	switch a.IntN(8) {
	case 0:
		return a.Int64()
	case 1:
		return a.IntN(2) == 0
	case 2:
		return nil
	case 3:
		if depth > 0 {
			return a.object(depth - 1)
		}
	case 4:
		return []any{a.text(), a.text()}
	}
	return a.text()
}

func (a *attacker) object(depth int) map[string]any {
	o := map[string]any{}
	for range a.IntN(5) {
		o[fields[a.IntN(len(fields))]] = a.value(depth)
	}
	return o
}

// body is JSON mostly, and sometimes too long, cut off, nested, or something else.
func (a *attacker) body() string {
	switch a.IntN(12) {
	case 0:
		return ""
	case 1:
		return strings.Repeat("[", 10000)
	case 2:
		return `{"name":"` + strings.Repeat("x", 40<<10) + `"}`
	case 3:
		return a.text()
	case 4:
		text, _ := json.Marshal(a.object(2))
		return string(text[:len(text)/2])
	case 5:
		text, _ := json.Marshal(a.object(1))
		return string(text) + string(text)
	}
	text, _ := json.Marshal(a.object(3))
	return string(text)
}

// request is one of them.
func (a *attacker) request() *http.Request {
	method, path, _ := strings.Cut(a.routes[a.IntN(len(a.routes))], " ")
	switch a.IntN(10) {
	case 0:
		path = strays[a.IntN(len(strays))]
	case 1:
		method = []string{"GET", "POST", "PUT", "DELETE", "PATCH", "HEAD"}[a.IntN(6)]
	}
	for strings.Contains(path, "{") {
		id := url.PathEscape(a.text())
		if a.IntN(2) == 0 {
			id = a.ids[a.IntN(len(a.ids))]
		}
		begin, end := strings.Index(path, "{"), strings.Index(path, "}")
		path = path[:begin] + id + path[end+1:]
	}
	q := url.Values{}
	for range a.IntN(3) {
		q.Set([]string{"owner", "template", "status", "after", "limit", "before", "n", "until", "state", "type", "note"}[a.IntN(11)], a.text())
	}
	u := a.r.url() + "/api/v1" + path
	if a.IntN(8) == 0 {
		u = a.r.url() + []string{"/", "/mine", "/live", "/act", "/login", "/assets/" + url.PathEscape(a.text()), "/" + url.PathEscape(a.text())}[a.IntN(7)]
	}
	if len(q) > 0 {
		u += "?" + q.Encode()
	}
	r, err := http.NewRequest(method, u, strings.NewReader(a.body()))
	if err != nil {
		return nil
	}
	a.dress(r)
	return r
}

// routesOf reads what there is from the description of the API.
func routesOf(c caller) (routes []string) {
	spec := call[struct {
		Paths map[string]map[string]any `json:"paths"`
	}](c, "GET", "/openapi.json", "")
	for path, methods := range spec.Paths {
		for method := range methods {
			routes = append(routes, strings.ToUpper(method)+" "+path)
		}
	}
	slices.Sort(routes)
	return routes
}

// dress gives a request a token and headers.
func (a *attacker) dress(r *http.Request) {
	token := a.tokens[a.IntN(len(a.tokens))]
	switch a.IntN(12) {
	case 0:
	case 1:
		r.Header.Set("Authorization", "Bearer "+clean(a.text()))
	default:
		r.Header.Set("Authorization", "Bearer "+token)
		r.AddCookie(&http.Cookie{Name: "plane_token", Value: token})
	}
	r.Header.Set("Content-Type", []string{"application/json", "application/json", "application/json", "text/plain", "application/x-www-form-urlencoded", ""}[a.IntN(6)])
	for _, h := range []string{"If-Match", "Idempotency-Key", "Origin", "Last-Event-ID", "X-Forwarded-For"} {
		if a.IntN(10) == 0 {
			r.Header.Set(h, clean(a.text()))
		}
	}
}

// clean leaves what may stand in a header: the client would not send the rest.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, s)
}

// Whatever is sent, by whomever: no server error, nothing of others in an answer, and nothing of it unescaped on a page, in metrics or
// at the command line.
func TestHostileInputs(t *testing.T) {
	w := newWorld(t)
	r := w.start("-rate", "100000", "-workers", "0", "-pool", "0")
	seed := *hostileSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", seed)
	admin, ann, ben := r.as("admin"), r.as("ann"), r.as("ben")
	worker := call[struct{ Token string }](admin, "POST", "/workers", `{"name":"eve's","slots":1}`).Token
	secret := call[dormouse.Workspace](ben, "POST", "/workspaces", `{"template":"web","name":"bens-secret-project"}`)
	for _, text := range texts { // names that are allowed are shown afterwards
		body, _ := json.Marshal(map[string]any{"template": "web", "name": text})
		if a, err := ann.try("POST", "/workspaces", string(body)); err != nil || a.Code >= 500 {
			t.Errorf("a workspace named %q: %d %v", text, a.Code, err)
		}
	}
	routes := routesOf(admin)
	ids := []string{secret.ID.String(), uuid.NewString(), uuid.Nil.String(), "web", "ann", "ben", "sandbox"}
	seen := &tally{T: t, codes: map[int]int{}}
	attack := func(inputs int, salt uint64, secrets []string, tokens ...string) {
		var all sync.WaitGroup
		const hands = 4
		for hand := range uint64(hands) {
			a := &attacker{Rand: rand.New(rand.NewPCG(seed, salt+hand)), r: r, routes: routes, tokens: tokens, ids: ids, secrets: secrets}
			all.Go(func() {
				for range inputs / hands {
					seen.send(a)
				}
			})
		}
		all.Wait()
	}
	inside := []string{ben.token, admin.token, "SQLITE", "sqlite", "goroutine"}
	attack(*hostileInputs*2/3, 0, append(inside, "bens-secret-project"), ann.token, ann.token, ann.token, worker, worker, ann.token[:len(ann.token)-1]+"x", "")
	if got := ben.get(secret.ID); got.Status != secret.Status || got.TTL != secret.TTL || got.Name != secret.Name || got.Hold != secret.Hold || got.Schedule != secret.Schedule {
		t.Errorf("the workspace of somebody else was changed: %+v", got)
	}
	escaped(w, r)
	attack(*hostileInputs/3, 100, inside, admin.token) // who operates it may do much, and breaks nothing either
	t.Logf("%d inputs to %d routes: %v", *hostileInputs, len(routes), seen.codes)
}

// tally is what was answered.
type tally struct {
	*testing.T
	mu    sync.Mutex
	codes map[int]int
}

func (s *tally) send(a *attacker) {
	request := a.request()
	if request == nil {
		return
	}
	client := http.Client{Timeout: patience(request), CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		if strings.HasSuffix(request.URL.Path, "/worker/acquire") || strings.HasSuffix(request.URL.Path, "/live") || strings.HasSuffix(request.URL.Path, "/events") {
			return // it waits for what does not come
		}
		s.count(0)
		if !strings.Contains(err.Error(), "malformed") && !strings.Contains(err.Error(), "reset") && !strings.Contains(err.Error(), "broken pipe") {
			sent := ""
			if request.GetBody != nil {
				again, _ := request.GetBody()
				text, _ := io.ReadAll(again)
				sent = string(text)
			}
			s.Errorf("%s %s: %v with %.500q, %v", request.Method, request.URL, err, sent, request.Header)
		}
		return
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	s.count(response.StatusCode)
	if response.StatusCode >= 500 {
		s.Errorf("%s %s: %d %s", request.Method, request.URL, response.StatusCode, body)
	}
	for _, secret := range a.secrets {
		if strings.Contains(string(body), secret) {
			s.Errorf("%s %s tells %q", request.Method, request.URL, secret)
		}
	}
	if response.StatusCode >= 400 && strings.HasPrefix(request.URL.Path, "/api/") && request.Method != http.MethodHead {
		var p dormouse.Problem
		if json.Unmarshal(body, &p) != nil || p.Type == "" || p.Status != response.StatusCode {
			s.Errorf("%s %s: %d is no problem document: %.300s", request.Method, request.URL, response.StatusCode, body)
		}
	}
}

func (s *tally) count(code int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.codes[code]++
}

// escaped looks at everything that shows text of people.
func escaped(w *world, r *replica) {
	w.Helper()
	for _, page := range []struct{ path, who string }{{"/", "admin"}, {"/mine", "ann"}, {"/metrics", ""}, {"/api/v1/workspaces?limit=1000", "ann"}} {
		request, err := http.NewRequest("GET", r.url()+page.path, nil)
		if err != nil {
			w.Fatal(err)
		}
		if page.who != "" {
			token := w.token(page.who)
			request.AddCookie(&http.Cookie{Name: "plane_token", Value: token})
			request.Header.Set("Authorization", "Bearer "+token)
		}
		response, err := client.Do(request)
		if err != nil {
			w.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK || len(body) < 1000 {
			w.Errorf("%s: %d, %d bytes", page.path, response.StatusCode, len(body))
		}
		for _, bad := range []string{"<script>alert", "<img src=x", "\x1b", "\u202e", "\x00", `href="javascript`} {
			if strings.Contains(string(body), bad) {
				w.Errorf("%s shows %q as it is", page.path, bad)
			}
		}
	}
	out, err := exec.Command(programs.ctl, "--url", r.url(), "--token", w.token("ann"), "list").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "alert(1)") {
		w.Errorf("dormousectl list: %v\n%s", err, out)
	}
	for _, bad := range []string{"\x1b", "\u202e", "\x00", "\a"} {
		if strings.Contains(string(out), bad) {
			w.Errorf("the command line prints %q as it is", bad)
		}
	}
}

// patience is short with what waits on purpose.
func patience(r *http.Request) time.Duration {
	if strings.HasSuffix(r.URL.Path, "/acquire") || strings.HasSuffix(r.URL.Path, "/live") || strings.HasSuffix(r.URL.Path, "/events") {
		return 100 * time.Millisecond
	}
	return time.Minute
}
