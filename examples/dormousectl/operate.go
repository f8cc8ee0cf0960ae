package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/dormouse-go/dormouse/examples/controlplane/api"
	"github.com/dormouse-go/dormouse/examples/controlplane/doctor"
)

// errUnwell is what doctor ends with when something is wrong: the report has said what.
var errUnwell = errors.New("something is wrong")

func (c *ctl) jobs() *cobra.Command {
	var state, after string
	jobs := &cobra.Command{Use: "jobs", Short: "list jobs, the latest first", Args: asUsed, RunE: func(cmd *cobra.Command, _ []string) error {
		q := url.Values{}
		for key, value := range map[string]string{"state": state, "after": after} {
			if value != "" {
				q.Set(key, value)
			}
		}
		_, err := ask(cmd.Context(), c, "GET", "/jobs", q, nil, func(o *out, p api.Page[api.Job]) {
			var rows [][]string
			for _, j := range p.Items {
				rows = append(rows, []string{workOf(j), j.State, fmt.Sprint(j.Attempt), when(j.CreatedAt), shown(j.Error), j.ID.String()})
			}
			o.table([]string{"WORK", "STATE", "ATTEMPT", "POSTED", "ERROR", "ID"}, rows)
			if p.Next != "" {
				o.line("\nthere are more: --after %s", p.Next)
			}
		})
		return err
	}}
	jobs.Flags().StringVar(&state, "state", "", "pending, running, succeeded, failed or canceled")
	jobs.Flags().StringVar(&after, "after", "", "those after a page, as its last line says")
	jobs.AddCommand(c.jobWhy(), c.jobVerb("retry", "put a job that is over into line again"), c.jobVerb("cancel", "ask for a job to be canceled"), c.pause(), c.resume(), c.pauses())
	return jobs
}

// workOf says what a job does: that it starts a workspace, or its type.
func workOf(j api.Job) string {
	if j.Workspace == "" {
		return shown(j.Type)
	}
	return j.Transition + " " + shown(j.Workspace)
}

func (c *ctl) jobWhy() *cobra.Command {
	return &cobra.Command{Use: "why ID", Short: "say where a job is and why", Args: asUsed, RunE: func(cmd *cobra.Command, args []string) error {
		_, err := ask(cmd.Context(), c, "GET", "/jobs/"+url.PathEscape(args[0]), nil, nil, func(o *out, x api.JobWhy) { o.line("%s, %s: %s", workOf(x.Job), x.Job.State, sentence(x.Text)) })
		return err
	}}
}

func (c *ctl) jobVerb(verb, short string) *cobra.Command {
	var in api.Remark
	cmd := &cobra.Command{Use: verb + " ID", Short: short, Args: asUsed, RunE: func(cmd *cobra.Command, args []string) error {
		_, err := ask(cmd.Context(), c, "POST", "/jobs/"+url.PathEscape(args[0])+"/"+verb, nil, in, func(o *out, j api.Job) { o.line("%s: %s", workOf(j), j.State) })
		return err
	}}
	cmd.Flags().StringVar(&in.Note, "note", "", "why")
	return cmd
}

func (c *ctl) pause() *cobra.Command {
	var in api.Pause
	var span time.Duration
	cmd := &cobra.Command{Use: "pause", Short: "hand out no jobs of a type, or none", Args: asUsed, RunE: func(cmd *cobra.Command, _ []string) error {
		if span > 0 {
			now, err := c.now(cmd.Context())
			if err != nil {
				return err
			}
			in.Until = now.Add(span)
		}
		_, err := ask(cmd.Context(), c, "PUT", "/pauses", nil, in, func(o *out, _ struct{}) { o.line("paused; what runs goes on") })
		return err
	}}
	cmd.Flags().StringVar(&in.Type, "type", "", "type of the jobs; all jobs if it is left out")
	cmd.Flags().StringVar(&in.Note, "note", "", "why")
	cmd.Flags().DurationVar(&span, "for", 0, "how long; until it is resumed if it is left out")
	return cmd
}

func (c *ctl) resume() *cobra.Command {
	var of string
	cmd := &cobra.Command{Use: "resume", Short: "hand jobs out again", Args: asUsed, RunE: func(cmd *cobra.Command, _ []string) error {
		if _, err := ask(cmd.Context(), c, "DELETE", "/pauses", url.Values{"type": {of}}, nil, func(o *out, _ struct{}) { o.line("resumed") }); err != nil {
			return err
		}
		if c.output == "json" {
			return nil
		}
		left, err := get[api.Page[api.Pause]](cmd.Context(), c, "/pauses", nil)
		showPauses(&out{w: os.Stdout}, "still not handed out:", left)
		return err
	}}
	cmd.Flags().StringVar(&of, "type", "", "type that was paused; leave it out for the pause of all jobs")
	return cmd
}

func (c *ctl) pauses() *cobra.Command {
	return &cobra.Command{Use: "pauses", Short: "list what is not handed out", Args: asUsed, RunE: func(cmd *cobra.Command, _ []string) error {
		_, err := ask(cmd.Context(), c, "GET", "/pauses", nil, nil, func(o *out, p api.Page[api.Pause]) {
			if len(p.Items) == 0 {
				o.line("nothing is paused")
			}
			showPauses(o, "not handed out:", p)
		})
		return err
	}}
}

func showPauses(o *out, heading string, p api.Page[api.Pause]) {
	if len(p.Items) == 0 {
		return
	}
	var rows [][]string
	for _, one := range p.Items {
		jobs, until := "all jobs", "resumed"
		if one.Type != "" {
			jobs = "type " + shown(one.Type)
		}
		if one.Everybody {
			jobs += ", of everybody"
		}
		if !one.Until.IsZero() {
			until = when(one.Until)
		}
		rows = append(rows, []string{jobs, until, shown(one.By), shown(one.Note)})
	}
	o.line("%s", heading)
	o.table([]string{"JOBS", "UNTIL", "BY", "NOTE"}, rows)
}

func (c *ctl) doctor() *cobra.Command {
	return &cobra.Command{Use: "doctor", Short: "look for what is wrong: schema, clocks, overdue, unmatched and refused jobs, calls that fail, leases; exits with status 2 if something is", Args: asUsed, RunE: func(cmd *cobra.Command, _ []string) error {
		r, err := ask(cmd.Context(), c, "GET", "/doctor", nil, nil, func(o *out, r doctor.Report) {
			var rows [][]string
			for _, f := range r.Findings {
				verdict := "well"
				if !f.OK {
					verdict = "LOOK"
				}
				rows = append(rows, []string{f.Name, verdict, sentence(f.Text)})
			}
			o.table([]string{"WHAT", "", "FINDING"}, rows)
		})
		if err == nil && !r.OK {
			err = errUnwell
		}
		return err
	}}
}

func (c *ctl) migrate() *cobra.Command {
	return &cobra.Command{Use: "migrate", Short: "bring the tables of a database to this version", Args: asUsed, RunE: func(cmd *cobra.Command, _ []string) error {
		if c.store == nil {
			return errors.New("say which database (--database): a control plane migrates its own when it starts")
		}
		if err := c.store.Migrate(cmd.Context()); err != nil {
			return err
		}
		if c.output == "table" {
			fmt.Println("the tables are those of this version")
		}
		return nil
	}}
}

// bundled are the questions whose answers go into a bundle, a page of each. None of them has payloads, logs or tokens; what templates
// are made of, which may hold anything, is left out.
var bundled = []struct {
	name, path string
	clean      func(text []byte) ([]byte, error)
}{
	{"doctor.json", "/doctor", nil},
	{"templates.json", "/templates", withoutSources},
	{"workspaces.json", "/workspaces?limit=1000", nil},
	{"jobs.json", "/jobs?limit=500", nil},
	{"workers.json", "/workers", nil},
	{"pools.json", "/pools", nil},
	{"pauses.json", "/pauses", nil},
	{"owners.json", "/owners", nil},
}

func withoutSources(text []byte) ([]byte, error) {
	var page api.Page[api.Template]
	if err := json.Unmarshal(text, &page); err != nil {
		return nil, err
	}
	for i := range page.Items {
		page.Items[i].Source = ""
	}
	return json.Marshal(page)
}

func (c *ctl) bundle() *cobra.Command {
	return &cobra.Command{Use: "bundle FILE.tar.gz", Short: "write what is needed to find a fault into a file; it has names, and no payloads, logs or tokens", Args: asUsed, RunE: func(cmd *cobra.Command, args []string) error {
		f, err := os.OpenFile(args[0], os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		if err = errors.Join(c.pack(cmd.Context(), f), f.Close()); err != nil {
			_ = os.Remove(args[0])
		}
		return err
	}}
}

// pack writes all answers. A question that fails is no reason to go without the others: why it did is what a bundle is for.
func (c *ctl) pack(ctx context.Context, f io.Writer) error {
	z := gzip.NewWriter(f)
	t := tar.NewWriter(z)
	for _, b := range bundled {
		var text []byte
		_, err := c.client.Do(ctx, http.MethodGet, api.Prefix+b.path, nil, nil, nil, &text)
		if err == nil && b.clean != nil {
			text, err = b.clean(text)
		}
		name := b.name
		if err != nil {
			name, text = name+".error", []byte(err.Error()+"\n")
		}
		if err := t.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(text)), ModTime: time.Now()}); err != nil {
			return err
		}
		if _, err := t.Write(text); err != nil {
			return err
		}
	}
	return errors.Join(t.Close(), z.Close())
}
