package controlplane_test

import (
	"encoding/json"
	"errors"
	"html"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// ctl runs dormousectl.
func (r *replica) ctl(args ...string) (string, error) {
	out, err := exec.Command(programs.ctl, args...).CombinedOutput()
	return string(out), err
}

// text is a page without its tags.
func (r *replica) text(path, who string) string {
	r.w.Helper()
	request, err := http.NewRequest("GET", r.url()+path, nil)
	if err != nil {
		r.w.Fatal(err)
	}
	request.AddCookie(&http.Cookie{Name: "plane_token", Value: r.w.token(who)})
	response, err := client.Do(request)
	if err != nil {
		r.w.Fatal(err)
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	return html.UnescapeString(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(string(body), " "))
}

// The API, both pages, the command line over the API and directly on the database, and the calendar say the same of a workspace.
func TestTheSameSentence(t *testing.T) {
	w := newWorld(t)
	r := w.start("-pool", "0")
	ann := r.as("ann")
	ws := ann.create("same", `,"hours":"Europe/Berlin Mon-Fri 09:00-17:00","start":true`)
	ann.settles(ws.ID, lifecycle.StatusRunning)
	call[dormouse.Workspace](ann, "POST", "/workspaces/"+ws.ID.String()+"/stop", "")
	ann.settles(ws.ID, lifecycle.StatusStopped)
	x := call[dormouse.Explanation](ann, "GET", "/workspaces/"+ws.ID.String()+"/explain", "")
	// How far away it is changes while the test asks.
	sentence, _, _ := strings.Cut(x.Summary, " (in ")
	if !strings.Contains(sentence, "starts by its schedule") || x.NextAt.IsZero() {
		t.Fatalf("the API says %q", x.Summary)
	}
	api := []string{"--url", r.url(), "--token", ann.token}
	database := []string{"--database", filepath.Join(w.data, "plane.db")}
	for name, said := range map[string]func() (string, error){
		"the command line over the API":      func() (string, error) { return r.ctl(append(api, "explain", "same")...) },
		"the command line in JSON":           func() (string, error) { return r.ctl(append(api, "-o", "json", "explain", "same")...) },
		"the command line on the database":   func() (string, error) { return r.ctl(append(database, "explain", "same")...) },
		"the owner's page":                   func() (string, error) { return r.text("/mine", "ann"), nil },
		"the operator's page, asked for why": func() (string, error) { return r.text("/?why="+ws.ID.String(), "admin"), nil },
	} {
		if text, err := said(); err != nil || !strings.Contains(text, sentence) {
			t.Errorf("%s does not say %q: %v\n%.2000s", name, sentence, err, text)
		}
	}
	type ahead struct {
		Steps []struct{ At time.Time } `json:"steps"`
		Text  []string                 `json:"text"`
	}
	next := call[ahead](ann, "GET", "/workspaces/"+ws.ID.String()+"/upcoming?n=1", "")
	if !next.Steps[0].At.Equal(x.NextAt) {
		t.Errorf("upcoming is at %v, explain says %v", next.Steps[0].At, x.NextAt)
	}
	if text, err := r.ctl(append(api, "upcoming", "same", "-n", "1")...); err != nil || !strings.Contains(text, next.Text[0]) {
		t.Errorf("the command line does not say %q: %v %s", next.Text[0], err, text)
	}
	calendar, err := ann.try("GET", "/workspaces/"+ws.ID.String()+"/calendar.ics?n=1", "")
	if err != nil || !strings.Contains(string(calendar.Body), "DTSTART:"+x.NextAt.UTC().Format("20060102T150405Z")) || !strings.Contains(string(calendar.Body), next.Text[0]) {
		t.Errorf("the calendar does not have %q at %v:\n%s", next.Text[0], x.NextAt, calendar.Body)
	}
}

// unmatched asks the doctor about builds that nobody can take, which the database alone does not tell.
func unmatched(r *replica, by []string) {
	r.w.Helper()
	out, err := r.ctl(append(slices.Clone(by), "doctor")...)
	if by[0] == "--database" {
		if err != nil || !strings.Contains(out, "ask over its API") {
			r.w.Errorf("doctor, on a database with builds that wait: %v\n%s", err, out)
		}
		return
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(out, "No live worker can run it") {
		r.w.Errorf("doctor, with builds that nobody can take: %v\n%s", err, out)
	}
}

// The command line does what it says, over the API and on the database.
func TestCommandLine(t *testing.T) {
	w := newWorld(t)
	r := w.start("-pool", "0", "-workers", "0")
	api := []string{"--url", r.url(), "--token-file", filepath.Join(w.data, "tokens.txt"), "--as", "admin"}
	database := []string{"--database", filepath.Join(w.data, "plane.db")}
	for _, by := range [][]string{api, database} {
		for _, c := range []struct {
			args []string
			want string
		}{
			{[]string{"list", "--owner", "ann"}, "scratch"},
			{[]string{"hold", "scratch", "--for", "2h", "--note", "demo day"}, "held until"},
			{[]string{"explain", "scratch"}, "demo day"},
			{[]string{"hold", "scratch", "--end"}, "the hold is over"},
			{[]string{"forecast", "--days", "2"}, ""},
			{[]string{"-o", "json", "list"}, `"name": "scratch"`},
			{[]string{"completion", "bash"}, "dormousectl"},
			{[]string{"completion", "zsh"}, "dormousectl"},
			{[]string{"completion", "fish"}, "dormousectl"},
			{[]string{"hold", "--template", "web", "--for", "1h"}, "held until"},
			{[]string{"hold", "--template", "web", "--end"}, "the hold is over"},
			{[]string{"hold", "--all", "--for", "1h"}, "held until"},
			{[]string{"hold", "--all", "--end"}, "the hold is over"},
			{[]string{"__complete", "explain", "scr"}, "scratch"},
		} {
			if out, err := r.ctl(append(by, c.args...)...); err != nil || !strings.Contains(out, c.want) {
				t.Errorf("%v %v: %v\n%s", by[0], c.args, err, out)
			}
		}
		unmatched(r, by)
		policy(t, r, by)
		jobs(r, by)
		simulated(r, by)
		bundled(r, by)
	}
	if out, err := r.ctl(append(database, "--organization", "018f0000-0000-7000-8000-000000000001", "-o", "json", "list")...); err != nil || out != "[]\n" {
		t.Errorf("of an organization that has nothing: %v %s", err, out)
	}
	for _, bad := range [][]string{append(slices.Clone(database), "--organization", "x", "list"), append(slices.Clone(api), "--organization", "018f0000-0000-7000-8000-000000000001", "list")} {
		if out, err := r.ctl(bad...); err == nil || !strings.Contains(out, "--organization") {
			t.Errorf("%v: %v %s", bad, err, out)
		}
	}
	if out, err := r.ctl(append(api, "migrate")...); err == nil || !strings.Contains(out, "--database") {
		t.Errorf("migrate over the API: %v %s", err, out)
	}
	migrated(r)
	if out, err := r.ctl("--url", r.url(), "--token", "plane_nobody_x", "list"); err == nil || strings.Contains(out, "scratch") {
		t.Errorf("without a token: %v %s", err, out)
	}
}

// policy plans a change, and applies the plan.
func policy(t *testing.T, r *replica, by []string) {
	t.Helper()
	template := call[struct {
		Policy map[string]any `json:"policy"`
	}](r.as("admin"), "GET", "/templates/web", "")
	hours := "5h0m0s"
	if by[0] == "--database" {
		hours = "6h0m0s"
	}
	template.Policy["default_ttl"] = hours
	text, _ := json.Marshal(map[string]any{"policy": template.Policy})
	plan := filepath.Join(t.TempDir(), "plan.json")
	cmd := exec.Command(programs.ctl, append(by, "plan", "web", "--out", plan)...)
	cmd.Stdin = strings.NewReader(string(text))
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "workspaces") {
		t.Fatalf("plan: %v %s\n%s", err, out, text)
	}
	if out, err := r.ctl(append(by, "apply", "web", "-f", plan)...); err != nil || !strings.Contains(out, "applied to") || strings.Contains(out, "refused") {
		t.Fatalf("apply: %v %s", err, out)
	}
	after := call[struct {
		Policy map[string]any `json:"policy"`
	}](r.as("admin"), "GET", "/templates/web", "")
	if after.Policy["default_ttl"] != hours {
		t.Errorf("after apply the policy is %v", after.Policy)
	}
}
