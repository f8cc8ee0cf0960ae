package controlplane_test

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// does runs dormousectl, which has to succeed and to say something.
func (r *replica) does(by []string, want string, args ...string) string {
	r.w.Helper()
	out, err := r.ctl(append(slices.Clone(by), args...)...)
	if err != nil || !strings.Contains(out, want) {
		r.w.Errorf("%v %v: %v, want %q in\n%s", by[0], args, err, want, out)
	}
	return out
}

type jobItem struct{ ID, State, Error, Workspace string }

// pending is a job that waits, by what the command line lists in JSON.
func (r *replica) pending(by []string) jobItem {
	r.w.Helper()
	var page struct{ Items []jobItem }
	out := r.does(by, "workspace_build", "-o", "json", "jobs", "--state", "pending")
	if err := json.Unmarshal([]byte(out), &page); err != nil || len(page.Items) == 0 {
		r.w.Fatalf("jobs in JSON: %v\n%s", err, out)
	}
	return page.Items[0]
}

// jobs lists jobs, cancels one, puts it into line again, and keeps them from being handed out for a while.
func jobs(r *replica, by []string) {
	r.w.Helper()
	job := r.pending(by)
	if job.Workspace == "" {
		r.w.Errorf("whose build job %s is, is not said", job.ID)
	}
	r.does(by, "start "+job.Workspace, "jobs")
	why := "No live worker can run it"
	if by[0] == "--database" {
		why = "This process has not heard yet which workers there are"
	}
	r.does(by, why, "jobs", "why", job.ID)
	r.does(by, "start "+job.Workspace+", pending: ", "jobs", "why", job.ID)
	if out, err := r.ctl(append(slices.Clone(by), "jobs", "why", "x")...); err == nil || out != "dormousectl: id \"x\": must be a UUID\n" {
		r.w.Errorf("why of what is no id: %v\n%s", err, out)
	}
	r.does(by, "canceled", "jobs", "cancel", job.ID, "--note", "by mistake")
	r.does(by, job.ID, "jobs", "--state", "canceled")
	r.does(by, "by mistake", "jobs", "why", job.ID)
	r.does(by, "pending", "jobs", "retry", job.ID, "--note", "after all")
	if out := r.does(by, "", "jobs", "--state", "canceled"); strings.Contains(out, job.ID) {
		r.w.Errorf("put into line again, it is listed as canceled:\n%s", out)
	}
	r.does(by, "paused", "jobs", "pause", "--for", "1h", "--note", "upgrade")
	out, err := r.ctl(append(slices.Clone(by), "doctor")...)
	if err == nil || !strings.Contains(out, "jobs are not handed out") {
		r.w.Errorf("doctor, while jobs are paused: %v\n%s", err, out)
	}
	r.does(by, "resumed", "jobs", "resume")
	out, _ = r.ctl(append(slices.Clone(by), "doctor")...)
	if !strings.Contains(out, "nothing is paused") {
		r.w.Errorf("doctor, after they were resumed:\n%s", out)
	}
}

// simulated asks what another policy would have done today.
func simulated(r *replica, by []string) {
	r.w.Helper()
	from := time.Now().Add(-12 * time.Hour).UTC()
	question, _ := json.Marshal(map[string]any{
		"candidates": []any{map[string]any{"name": "an hour", "policy": map[string]any{"default_ttl": "1h0m0s"}}}, "from": from, "until": from.Add(24 * time.Hour),
	})
	file := filepath.Join(r.w.TempDir(), "question.json")
	if err := os.WriteFile(file, question, 0o600); err != nil {
		r.w.Fatal(err)
	}
	if out := r.does(by, "as it is", "simulate", "-f", file); !strings.Contains(out, "an hour") || !strings.Contains(out, "INTERRUPTED") {
		r.w.Errorf("simulate:\n%s", out)
	}
	if out, err := r.ctl(append(slices.Clone(by), "simulate", "-f", os.DevNull)...); err == nil {
		r.w.Errorf("simulate nothing:\n%s", out)
	}
}

// bundled writes a bundle and reads it. It holds the answers, and nothing secret.
func bundled(r *replica, by []string) {
	r.w.Helper()
	file := filepath.Join(r.w.TempDir(), "bundle.tar.gz")
	r.does(by, "", "bundle", file)
	found, err := unpack(file)
	if err != nil {
		r.w.Fatal(err)
	}
	want := []string{"doctor.json", "jobs.json", "owners.json", "pauses.json", "pools.json", "templates.json", "workers.json", "workspaces.json"}
	if names := slices.Sorted(maps.Keys(found)); !slices.Equal(names, want) {
		r.w.Errorf("the bundle holds %v", names)
	}
	for name, text := range found {
		if !json.Valid([]byte(text)) {
			r.w.Errorf("%s is no JSON: %.300s", name, text)
		}
		for _, secret := range []string{"plane_", "terraform_data", r.w.token("admin")[18:]} {
			if strings.Contains(text, secret) {
				r.w.Errorf("%s tells %q", name, secret)
			}
		}
	}
	if !strings.Contains(found["workspaces.json"], "scratch") || !strings.Contains(found["templates.json"], `"infra"`) {
		r.w.Errorf("the bundle lacks what there is: %v", found)
	}
	if out, err := r.ctl(append(slices.Clone(by), "bundle", file)...); err == nil {
		r.w.Errorf("a file that is there was written over: %s", out)
	}
}

func unpack(file string) (map[string]string, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for t := tar.NewReader(z); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return nil, err
		}
		text, err := io.ReadAll(t)
		if err != nil {
			return nil, err
		}
		found[h.Name] = string(text)
	}
}

// migrated brings a new database to this version, twice, and the doctor says so; before that it says that there are no tables.
func migrated(r *replica) {
	r.w.Helper()
	file := filepath.Join(r.w.TempDir(), "new.db")
	by := []string{"--database", file}
	if out, err := r.ctl(append(slices.Clone(by), "migrate")...); err == nil {
		r.w.Errorf("a file that is not there was made: %s", out)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		r.w.Fatal(err)
	}
	if out, err := r.ctl(append(slices.Clone(by), "doctor")...); err == nil || !strings.Contains(out, "schema") || strings.Contains(out, "the tables are those") {
		r.w.Errorf("doctor, without tables: %v\n%s", err, out)
	}
	r.does(by, "the tables are those of this version", "migrate")
	r.does(by, "the tables are those of this version", "migrate")
	out, _ := r.ctl(append(slices.Clone(by), "doctor")...)
	if !strings.Contains(out, "the tables are those") {
		r.w.Errorf("doctor, with tables:\n%s", out)
	}
}
