package poolhttp_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/workerpool"
	"github.com/dormouse-go/dormouse/workerpool/poolhttp"
)

// noted is a pool that notes what is asked of it. Nothing else of it may be called.
type noted struct {
	poolhttp.Pool
	asked string
}

func (p *noted) SetIdleBehavior(id workerpool.InstanceID, b workerpool.Behavior) error {
	p.asked = fmt.Sprintf("%s %s by %s: %s until %s", b.Idle, id, b.Owner, b.Reason, b.Until.UTC().Format(time.RFC3339))
	return nil
}

func (p *noted) KillWorker(id workerpool.InstanceID, owner, reason string) error {
	p.asked = fmt.Sprintf("kill worker %s by %s: %s", id, owner, reason)
	return nil
}

func (p *noted) KillJob(id workerpool.JobID, reason string) error {
	p.asked = fmt.Sprintf("kill job %s, %s", id, reason)
	return nil
}

func (p *noted) TryNow(key string) bool {
	p.asked = "try " + key
	return key == "group/p"
}

func (p *noted) ReleaseBrakes(d time.Duration) { p.asked = "release for " + d.String() }

// Each verb does what it is called, to whom it names, in the name of who asks, with its parameters in the query or in a form.
func TestEachVerb(t *testing.T) {
	for _, test := range []struct{ path, parameters, want string }{
		{"/workers/hold", "id=a/b&reason=look&until=2030-01-02T03:04:05Z", "hold a/b by ann: look until 2030-01-02T03:04:05Z"},
		{"/workers/drain", "id=i-1&reason=old", "drain i-1 by ann: old until 0001-01-01T00:00:00Z"},
		{"/workers/run", "id=i-1", "run i-1 by ann:  until 0001-01-01T00:00:00Z"},
		{"/workers/kill", "id=i-1&reason=dead", "kill worker i-1 by ann: dead"},
		{"/jobs/kill", "id=j-1&reason=over", "kill job j-1, ann: over"},
		{"/try", "key=group/p", "try group/p"},
		{"/brakes/release", "for=30m", "release for 30m0s"},
	} {
		for _, form := range []bool{false, true} {
			pool := &noted{}
			h, err := poolhttp.New(pool, func(*http.Request, bool) (string, error) { return "ann", nil })
			if err != nil {
				t.Fatal(err)
			}
			r := httptest.NewRequest("POST", test.path+"?"+test.parameters, nil)
			if form {
				r = httptest.NewRequest("POST", test.path, strings.NewReader(test.parameters))
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != 200 || w.Header().Get("X-Content-Type-Options") != "nosniff" || w.Body.String() != "{}\n" || pool.asked != test.want {
				t.Errorf("%s, as a form %v: %d %s, asked %q, want %q", test.path, form, w.Code, w.Body, pool.asked, test.want)
			}
		}
	}
}
