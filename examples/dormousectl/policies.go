package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/examples/controlplane/api"
	"github.com/dormouse-go/dormouse/examples/internal/words"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
)

// read reads JSON from a file, or from the standard input for "-".
func read(file string, v any) (err error) {
	in, from := io.ReadCloser(os.Stdin), "the standard input"
	if file != "-" {
		if in, err = os.Open(file); err != nil {
			return err
		}
		defer in.Close()
		from = file
	}
	d := json.NewDecoder(in)
	d.DisallowUnknownFields()
	switch err := d.Decode(v); {
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%s is empty (--file says where to read from)", from)
	case err != nil:
		return fmt.Errorf("%s: %w", from, err)
	}
	return nil
}

func (o *out) json(v any) error {
	e := json.NewEncoder(o.w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func (c *ctl) plan() *cobra.Command {
	var file, keep string
	cmd := &cobra.Command{Use: "plan TEMPLATE", Short: "say what a policy would do to the workspaces of a template, and write nothing", Args: asUsed, RunE: func(cmd *cobra.Command, args []string) error {
		var in api.Planned
		if err := read(file, &in); err != nil {
			return err
		}
		plan, err := ask(cmd.Context(), c, "POST", "/templates/"+url.PathEscape(args[0])+"/plan", nil, in, showPlan)
		if err != nil || keep == "" {
			return err
		}
		text, err := json.MarshalIndent(plan, "", "  ")
		if err != nil {
			return err
		}
		return os.WriteFile(keep, text, 0o600)
	}}
	cmd.Flags().StringVarP(&file, "file", "f", "-", `the policy as JSON: {"policy": {..}}; - is the standard input`)
	cmd.Flags().StringVar(&keep, "out", "", "write the plan into this file, for apply")
	return cmd
}

func showPlan(o *out, p dormouse.PolicyPlan) {
	o.line("the template has %s; stored values change for %s of them", words.Count(p.Workspaces, "workspace", "workspaces"), orNone(p.Changed))
	for _, w := range p.Warnings {
		o.line("warning: %s", sentence(fmt.Sprint(w)))
	}
	var rows [][]string
	for _, e := range p.Effects {
		for _, m := range e.Moves {
			rows = append(rows, []string{shown(e.Name), m.Rule.String(), orNever(m.From), orNever(m.To)})
		}
	}
	if p.Affected == 0 {
		o.line("nothing happens at another time")
		return
	}
	o.line("something happens at another time to %d of them:", p.Affected)
	o.table([]string{"WORKSPACE", "RULE", "NOW", "THEN"}, rows)
	if n := p.Affected - len(p.Effects); n > 0 {
		o.line("and to %d more", n)
	}
}

func orNone(n int) string {
	if n == 0 {
		return "none"
	}
	return strconv.Itoa(n)
}

// orNever is an instant at which a rule acts, if it does.
func orNever(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return when(t)
}

func showApplied(o *out, p dormouse.PolicyPlan) {
	o.line("applied to %s", words.Count(p.Applied, "workspace", "workspaces"))
	switch n := len(p.Rejected); {
	case n > 0:
		o.line("the store refused %s; apply the plan again to try what was refused", words.Count(n, "workspace", "workspaces"))
	case !p.Done:
		o.line("not all workspaces were looked at; apply the plan again")
	}
}

func (c *ctl) apply() *cobra.Command {
	var file string
	cmd := &cobra.Command{Use: "apply TEMPLATE", Short: "carry a plan out", Args: asUsed, RunE: func(cmd *cobra.Command, args []string) error {
		var plan dormouse.PolicyPlan
		if err := read(file, &plan); err != nil {
			return err
		}
		_, err := ask(cmd.Context(), c, "POST", "/templates/"+url.PathEscape(args[0])+"/apply", nil, plan, showApplied)
		return err
	}}
	cmd.Flags().StringVarP(&file, "file", "f", "-", "the plan, as plan --out has written it")
	return cmd
}

func (c *ctl) forecast() *cobra.Command {
	var days int
	cmd := &cobra.Command{Use: "forecast", Short: "say how many workspaces will run, by schedules, deadlines and what is known of people", Args: asUsed, RunE: func(cmd *cobra.Command, _ []string) error {
		now, err := c.now(cmd.Context())
		if err != nil {
			return err
		}
		q := url.Values{"until": {now.Add(time.Duration(days) * 24 * time.Hour).UTC().Format(time.RFC3339)}}
		_, err = ask(cmd.Context(), c, "GET", "/forecast", q, nil, func(o *out, f forecast.Outlook) { o.line("%s", sentence(f.Text())) })
		return err
	}}
	cmd.Flags().IntVar(&days, "days", 7, "how many days ahead")
	return cmd
}

func (c *ctl) simulate() *cobra.Command {
	var file string
	cmd := &cobra.Command{Use: "simulate", Short: "say what policies would have done with the runs that were", Args: asUsed, RunE: func(cmd *cobra.Command, _ []string) error {
		var in api.Simulate
		if err := read(file, &in); err != nil {
			return err
		}
		_, err := ask(cmd.Context(), c, "POST", "/simulate", nil, in, func(o *out, s forecast.Simulation) {
			var rows [][]string
			for _, r := range s.Results {
				rows = append(rows, []string{shown(r.Name), fmt.Sprintf("%.1f", r.Hours), fmt.Sprintf("%.0f %%", 100*r.Saved()), fmt.Sprint(r.Interrupted), fmt.Sprint(r.Builds), fmt.Sprint(r.Deletions)})
			}
			o.table([]string{"POLICY", "HOURS", "SAVED", "INTERRUPTED", "BUILDS", "DELETED"}, rows)
		})
		return err
	}}
	cmd.Flags().StringVarP(&file, "file", "f", "-", `the question as JSON: {"candidates": [{"name": .., "policy": {..}}], "from": .., "until": ..}`)
	return cmd
}
