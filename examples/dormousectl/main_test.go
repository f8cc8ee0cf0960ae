package main

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/examples/controlplane/client"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// run runs the program with arguments, without a control plane.
func run(args ...string) error {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(&bytes.Buffer{})
	return root.Execute()
}

// each calls a function for a command and all below it.
func each(c *cobra.Command, do func(*cobra.Command)) {
	do(c)
	for _, sub := range c.Commands() {
		each(sub, do)
	}
}

// Whoever leaves an argument out is told which, and whoever gives one too many is told that one, by every command and with its usage.
func TestArguments(t *testing.T) {
	takers := 0
	each(newRoot(), func(c *cobra.Command) {
		if !c.Runnable() {
			return
		}
		path := strings.Fields(c.CommandPath())[1:]
		var wanted []string
		many := path
		for _, word := range strings.Fields(c.Use)[1:] {
			many = append(many, "x")
			if !strings.HasPrefix(word, "[") {
				wanted = append(wanted, word)
			}
		}
		if len(wanted) > 0 {
			takers++
			if err := run(path...); err == nil || !strings.Contains(err.Error(), wanted[0]+" is missing") || !strings.Contains(err.Error(), c.CommandPath()+" "+wanted[0]) {
				t.Errorf("%s without arguments: %v", c.CommandPath(), err)
			}
		}
		if err := run(append(many, "surplus")...); err == nil || !strings.Contains(err.Error(), `unexpected argument "surplus"`) || !strings.Contains(err.Error(), c.CommandPath()) {
			t.Errorf("%s with one too many: %v", c.CommandPath(), err)
		}
	})
	if takers < 8 {
		t.Errorf("only %d commands take an argument", takers)
	}
}

// What goes wrong on the way to a control plane says which flag it is about.
func TestNoControlPlane(t *testing.T) {
	ben := tokenFile(t, "\nowner ben plane_abc_SECRET\n")
	for want, args := range map[string][]string{
		`--url "127.0.0.1:1": must be an address`:                          {"list", "--url", "127.0.0.1:1"},
		"the control plane at http://127.0.0.1:1 (--url) does not answer:": {"list", "--url", "http://127.0.0.1:1"},
		"--database: ":                      {"list", "--database", "nowhere/plane.db"},
		`tokens.txt" has no token of "ann"`: {"list", "--token-file", ben, "--as", "ann"},
		`-o "x": must be table or json`:     {"list", "-o", "x"},
	} {
		if err := run(args...); err == nil || !strings.Contains(explained(err).Error(), want) {
			t.Errorf("%v: %v, want %q", args, err, want)
		}
	}
}

func tokenFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "tokens.txt")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// A file that holds no tokens is refused by line and rule, and nothing in it is repeated.
func TestTokenFile(t *testing.T) {
	const rule = `must be "kind name token": the kind admin, owner or worker, the token beginning with plane_`
	for text, want := range map[string]string{
		"":                           `tokens.txt" has no token; a line ` + rule,
		"\n \n":                      `tokens.txt" has no token; a line ` + rule,
		"What this is\n":             `tokens.txt": line 1 ` + rule,
		"plane_abc_SECRET\n":         `tokens.txt": line 1 ` + rule,
		"guest ben plane_abc_SECRET": `tokens.txt": line 1 ` + rule,
		"owner ben SECRET":           `tokens.txt": line 1 ` + rule,
		"owner ben plane_abc_":       `tokens.txt": line 1 ` + rule,
		"admin admin plane_abc_SECRET\n\nowner ben plane_abc_SECRET more": `tokens.txt": line 3 ` + rule,
	} {
		err := run("list", "--token-file", tokenFile(t, text))
		if err == nil || !strings.HasPrefix(err.Error(), `--token-file "`) || !strings.HasSuffix(err.Error(), want) || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if err := run("list", "--token-file", t.TempDir()); err == nil || !strings.HasPrefix(err.Error(), "--token-file: ") {
		t.Errorf("a directory: %v", err)
	}
	good := tokenFile(t, "admin admin plane_abc_FIRST\n\nowner ben plane_def_SECOND\nowner admin plane_ghi_THIRD\n")
	for as, want := range map[string]string{"": "plane_abc_FIRST", "admin": "plane_abc_FIRST", "ben": "plane_def_SECOND"} {
		if got, err := tokenIn(good, as); got != want || err != nil {
			t.Errorf("--as %q: %q, %v; want %q", as, got, err, want)
		}
	}
}

// Whose token a control plane does not know learns where it came from.
func TestUnknownToken(t *testing.T) {
	refused := &client.Error{Problem: dormouse.Problem{Status: http.StatusUnauthorized, Detail: "there is no valid token in the header Authorization"}}
	if got, want := explained(refused).Error(), "the control plane knows no such token (--token, --token-file or PLANE_TOKEN)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// A plan says how many it concerns, what moves, that there is more than it lists, and that nothing moves.
func TestShowPlan(t *testing.T) {
	at := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	show := func(p lifecycle.PolicyPlan) string {
		var b bytes.Buffer
		showPlan(&out{w: &b}, dormouse.PolicyPlan{PolicyPlan: p})
		return b.String()
	}
	effects := []lifecycle.PolicyEffect{{WorkspaceID: uuid.New(), Name: "api", Moves: []lifecycle.Move{{Rule: lifecycle.RuleAutostop, To: at}}}}
	for _, c := range []struct {
		plan lifecycle.PolicyPlan
		want []string
	}{
		{lifecycle.PolicyPlan{Workspaces: 1}, []string{"the template has 1 workspace; stored values change for none of them", "nothing happens at another time"}},
		{
			lifecycle.PolicyPlan{Workspaces: 9, Changed: 2, Affected: 1, Effects: effects},
			[]string{"the template has 9 workspaces; stored values change for 2 of them", "something happens at another time to 1 of them", "api", "never", when(at)},
		},
		{lifecycle.PolicyPlan{Workspaces: 9, Changed: 2, Affected: 4, Effects: effects}, []string{"and to 3 more"}},
	} {
		got := show(c.plan)
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("%+v: %q is not in\n%s", c.plan, want, got)
			}
		}
	}
}

// What was applied, refused and left is told apart.
func TestShowApplied(t *testing.T) {
	for want, p := range map[string]lifecycle.PolicyPlan{
		"applied to 2 workspaces\n": {Applied: 2, Done: true},
		"applied to 1 workspace\nthe store refused 1 workspace; apply the plan again to try what was refused\n": {Applied: 1, Rejected: []uuid.UUID{uuid.New()}},
		"applied to 0 workspaces\nnot all workspaces were looked at; apply the plan again\n":                    {},
	} {
		var b bytes.Buffer
		showApplied(&out{w: &b}, dormouse.PolicyPlan{PolicyPlan: p})
		if b.String() != want {
			t.Errorf("%+v: %q, want %q", p, &b, want)
		}
	}
}
