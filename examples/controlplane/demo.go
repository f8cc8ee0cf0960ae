//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/examples/controlplane/api"
	"github.com/dormouse-go/dormouse/examples/controlplane/auth"
	"github.com/dormouse-go/dormouse/examples/controlplane/provision"
	"github.com/dormouse-go/dormouse/schedule"
)

// infra is a template of terraform with a resource that is built in, so that nothing has to be downloaded.
const infra = `variable "running" {
  type = bool
}

resource "terraform_data" "disk" {
  input = {{hcl .id}}
}

resource "terraform_data" "machine" {
  count = var.running ? 1 : 0
  input = { disk = terraform_data.disk.id, name = {{hcl .name}}, owner = {{hcl .owner}} }
}
`

// policyOf is what most templates have.
func policyOf(ttl time.Duration) dormouse.Policy {
	return dormouse.Policy{
		DefaultTTL: ttl, MinExtend: 5 * time.Minute, ActivityBump: time.Hour, ReminderLead: 15 * time.Minute, FailureTTL: 30 * time.Minute,
		TimeTilDormant: 14 * 24 * time.Hour, TimeTilAutodelete: 30 * 24 * time.Hour,
		AllowUserTTL: true, AllowUserAutostart: true, AutostartDays: schedule.AllDays,
	}
}

// templates are those that are made at the first start. The one of the warm pool is always there.
func templates(demo bool) map[string]api.NewTemplate {
	all := map[string]api.NewTemplate{sandboxPool: {Provisioner: provision.Process, Policy: policyOf(time.Hour)}}
	if demo {
		all["web"] = api.NewTemplate{Provisioner: provision.Process, Policy: policyOf(8 * time.Hour)}
		all["gpu"] = api.NewTemplate{Provisioner: provision.Process, Policy: policyOf(4 * time.Hour), Tags: map[string]string{"gpu": "yes"}}
		all["infra"] = api.NewTemplate{
			Provisioner: provision.Terraform, Source: infra, Policy: policyOf(8 * time.Hour), Tags: map[string]string{provision.Tag: provision.Terraform},
		}
	}
	return all
}

const begunFact = "begun"

// begin makes what has to be there at the first start, once for all replicas of the folder, and says what to try. A first start that
// was killed in the middle is done again: its steps bear that, and tokens that nobody was told are nobody's.
func (s *server) begin(ctx context.Context) error {
	lock, err := os.OpenFile(filepath.Join(s.data, "first.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close() // which lets go of it; so does our death
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	_, begun, err := s.db.records.Fact(ctx, begunFact)
	if err == nil && !begun {
		if err = s.first(ctx); err == nil {
			_, err = s.db.records.KeepFact(ctx, begunFact, instance(), false)
		}
	}
	if err != nil {
		return fmt.Errorf("first start: %w", err)
	}
	s.tell()
	return nil
}

func (s *server) tokens() string { return filepath.Join(s.data, "tokens.txt") }

func (s *server) first(ctx context.Context) error {
	for name, t := range templates(s.demo) {
		if _, err := s.api.PutTemplate(ctx, name, t, "first start"); err != nil {
			return err
		}
	}
	var text strings.Builder
	issue := func(kind auth.Kind, name string) error {
		_, token, err := s.keeper.Issue(ctx, kind, name, auth.Work{})
		fmt.Fprintf(&text, "%s %s %s\n", kind, name, token)
		return err
	}
	err := issue(auth.Admin, "admin")
	if s.demo {
		err = errors.Join(err, issue(auth.Owner, "ann"), issue(auth.Owner, "ben"))
	}
	if err == nil {
		err = os.WriteFile(s.tokens(), []byte(text.String()), 0o600)
	}
	if err != nil || !s.demo {
		return err
	}
	return s.people(ctx)
}

// people have some workspaces.
func (s *server) people(ctx context.Context) error {
	for _, w := range []api.Wanted{
		{Owner: "ann", Name: "api", Template: "web", Schedule: dormouse.Schedule{Hours: "Europe/Berlin Mon-Fri 09:00-17:00"}, Start: true},
		{Owner: "ann", Name: "scratch", Template: "web", TTL: api.Duration(time.Hour), Start: true},
		{Owner: "ben", Name: "notebook", Template: "web", Start: true},
		{Owner: "ben", Name: "training", Template: "gpu", Start: true},
		{Owner: "ben", Name: "stack", Template: "infra", Start: provision.TerraformBinary() != ""},
	} {
		if _, err := s.api.Create(ctx, w, "first start "+w.Name, auth.Identity{Kind: auth.Admin, Name: "first start"}); err != nil {
			return fmt.Errorf("workspace %s: %w", w.Name, err)
		}
	}
	return nil
}

// tell says where everything is, and what to try.
func (s *server) tell() {
	sandbox := "Install bubblewrap (bwrap), and each is put into a sandbox."
	if provision.Sandboxed() {
		sandbox = "Each is in a sandbox (bubblewrap)."
	}
	fmt.Printf(`A control plane listens on %[1]s

  %[1]s/               the operator's page, and /mine for owners: sign in with a token
  %[1]s/api/v1/        the API; its description is at /api/v1/openapi.json
  %[1]s/metrics        and /healthz, /readyz
  %[2]s   the tokens of the admin and of owners

Workspaces are processes of this machine. %[3]s
Things to try:

  TOKEN=$(awk '/^owner ann/{print $3}' %[2]s)
  curl -sH "Authorization: Bearer $TOKEN" %[1]s/api/v1/workspaces
  curl -sH "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' %[1]s/api/v1/workspaces -d '{"template":"web","name":"mine","ttl":"1h","start":true}'
  go run ./examples/dormousectl --url %[1]s --token-file %[2]s list

  - open the address in "result" of a workspace, kill its process, and look at its page
  - kill -9 this process, and start it again: the workspaces go on

End with Ctrl-C; workspaces go on. Started again with -speed 60, they live sixty times as fast.
`, s.url, s.tokens(), sandbox)
}
