//go:build linux

package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/examples/controlplane/provision"
	"github.com/dormouse-go/dormouse/examples/controlplane/records"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
)

func testRecords(t *testing.T) *records.DB {
	t.Helper()
	db, err := openDatabase(t.Context(), options{data: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.close)
	if err := db.records.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return db.records
}

// A template is rendered for its owner, and what an owner types is a text in it and no code.
func TestOrders(t *testing.T) {
	db := testRecords(t)
	b, err := newBuilders(db)
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	version, err := db.PutVersion(t.Context(), records.Version{Template: "infra", Provisioner: provision.Terraform, Source: infra, Tags: map[string]string{"provisioner": "terraform"}})
	if err != nil {
		t.Fatal(err)
	}
	order := func(name string) (executor.BuildSpec, provision.Order) {
		p, err := b.Prepare(t.Context(), executor.Group{TemplateVersionID: version})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		r := executor.BuildRequest{Build: lifecycle.Build{TemplateVersionID: version, Transition: lifecycle.TransitionStart}}
		r.Snapshot.Workspace = lifecycle.Workspace{ID: uuid.New(), Name: name}
		r.Snapshot.Owner.Name = "ann"
		spec, err := p.Build(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		var o provision.Order
		if err := json.Unmarshal(spec.Payload, &o); err != nil {
			t.Fatal(err)
		}
		return spec, o
	}
	spec, o := order(`x" } resource "evil" "y" { z = "${file("/etc/passwd")}`)
	if spec.Tags["provisioner"] != "terraform" || o.Owner != "ann" || o.Again {
		t.Errorf("%+v %+v", spec, o)
	}
	if !strings.Contains(o.Main, `owner = "ann"`) || !strings.Contains(o.Main, `\" } resource \"evil\"`) || strings.Contains(strings.ReplaceAll(o.Main, "$${", ""), "${") {
		t.Errorf("rendered:\n%s", o.Main)
	}
}

// The clock of a demonstration goes on where it was, whatever the speed.
func TestClockGoesOn(t *testing.T) {
	db := testRecords(t)
	first, err := openClock(t.Context(), db, 1)
	if err != nil || time.Since(first.Now()) > time.Minute {
		t.Fatal(first.Now(), err)
	}
	fast, err := openClock(t.Context(), db, 3600)
	if err != nil {
		t.Fatal(err)
	}
	for time.Until(fast.Now()) < time.Minute { // some milliseconds
		time.Sleep(time.Millisecond)
	}
	shown := fast.Now()
	for _, speed := range []int{3600, 2, 1} {
		again, err := openClock(t.Context(), db, speed)
		if err != nil || again.Now().Before(shown) {
			t.Errorf("at speed %d the clock shows %v, after %v: %v", speed, again.Now(), shown, err)
		}
	}
}

func TestOptions(t *testing.T) {
	for _, good := range [][]string{
		nil, {"-listen", "localhost:0"}, {"-listen", "[::1]:1"}, {"-listen", ":80", "-insecure"}, {"-listen", "0.0.0.0:443", "-tls-cert", "c", "-tls-key", "k"}, {"-database", "postgres://x"},
	} {
		if _, err := parse(good); err != nil {
			t.Errorf("%v: %v", good, err)
		}
	}
	for _, bad := range [][]string{
		{"-listen", ":80"}, {"-listen", "0.0.0.0:80"}, {"-listen", "example.com:80"}, {"-listen", "x"}, {"-tls-cert", "c"}, {"-speed", "0"}, {"-speed", "301"}, {"-database", "plane.db"}, {"-workers", "-1"}, {"-idle", "0"}, {"what"},
	} {
		if _, err := parse(bad); err == nil {
			t.Errorf("%v is accepted", bad)
		}
	}
}
