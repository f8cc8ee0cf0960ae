package main

import (
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/examples/controlplane/api"
)

// names completes the names of workspaces.
func (c *ctl) names(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	var found []string
	if len(args) == 0 && c.open(cmd.Context()) == nil {
		_ = c.each(cmd.Context(), nil, func(w dormouse.Workspace) {
			if strings.HasPrefix(w.Name, begun) && shown(w.Name) == w.Name {
				found = append(found, w.Name+"\t"+w.Status.String())
			}
		})
	}
	return found, cobra.ShellCompDirectiveNoFileComp
}

func (c *ctl) list() *cobra.Command {
	var owner, status string
	cmd := &cobra.Command{Use: "list", Short: "list workspaces", Args: asUsed, RunE: func(cmd *cobra.Command, _ []string) error {
		q := url.Values{}
		for key, value := range map[string]string{"owner": owner, "status": status} {
			if value != "" {
				q.Set(key, value)
			}
		}
		all := []dormouse.Workspace{}
		if err := c.each(cmd.Context(), q, func(w dormouse.Workspace) { all = append(all, w) }); err != nil {
			return err
		}
		o := &out{w: os.Stdout}
		if c.output == "json" {
			return o.json(all)
		}
		var rows [][]string
		for _, w := range all {
			rows = append(rows, []string{shown(w.Name), shown(w.Owner), shown(w.Template), w.Status.String(), when(w.Deadline), shown(w.Result), w.ID.String()})
		}
		o.table([]string{"NAME", "OWNER", "TEMPLATE", "STATUS", "STOPS", "ADDRESS", "ID"}, rows)
		return nil
	}}
	cmd.Flags().StringVar(&owner, "owner", "", "only workspaces of this owner; admins only")
	cmd.Flags().StringVar(&status, "status", "", "only workspaces with this status, such as running")
	return cmd
}

func (c *ctl) explain() *cobra.Command {
	return &cobra.Command{Use: "explain WORKSPACE", Short: "say what happens to a workspace, when and why", Args: asUsed, ValidArgsFunction: c.names, RunE: func(cmd *cobra.Command, args []string) error {
		id, err := c.id(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		_, err = ask(cmd.Context(), c, "GET", "/workspaces/"+id.String()+"/explain", nil, nil, func(o *out, x dormouse.Explanation) {
			o.line("%s", sentence(x.Summary))
			for _, h := range x.Holds {
				o.line("%s", sentence(h))
			}
			var rows [][]string
			for _, r := range x.Rules {
				rows = append(rows, []string{r.Rule.String(), string(r.Verdict), sentence(r.Compared), sentence(r.Because)})
			}
			o.line("")
			o.table([]string{"RULE", "VERDICT", "SEES", "BECAUSE"}, rows)
		})
		return err
	}}
}

func (c *ctl) upcoming() *cobra.Command {
	var n int
	cmd := &cobra.Command{Use: "upcoming WORKSPACE", Short: "say what will happen to a workspace if nobody does anything", Args: asUsed, ValidArgsFunction: c.names, RunE: func(cmd *cobra.Command, args []string) error {
		id, err := c.id(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		_, err = ask(cmd.Context(), c, "GET", "/workspaces/"+id.String()+"/upcoming", url.Values{"n": {strconv.Itoa(n)}}, nil, func(o *out, a api.Ahead) {
			for i, text := range a.Text {
				o.line("%s  %s", when(a.Steps[i].When), sentence(text))
			}
			if len(a.Text) == 0 {
				o.line("nothing will happen within four weeks")
			}
		})
		return err
	}}
	cmd.Flags().IntVarP(&n, "number", "n", 10, "how many steps")
	return cmd
}

func (c *ctl) hold() *cobra.Command {
	var h dormouse.Hold
	var span time.Duration
	var template, rules string
	var all, end bool
	cmd := &cobra.Command{Use: "hold [WORKSPACE]", Short: "suspend rules of a workspace, a template or everything", Args: asUsed, ValidArgsFunction: c.names, RunE: func(cmd *cobra.Command, args []string) error {
		path, err := c.holdPath(cmd, args, template, all)
		if err != nil {
			return err
		}
		if end == (span > 0) {
			return fmt.Errorf("say one of --for, how long, and --end")
		}
		if !end {
			now, err := c.now(cmd.Context())
			if err != nil {
				return err
			}
			h.Until = now.Add(span)
			if rules != "" {
				if err := h.Rules.UnmarshalText([]byte(rules)); err != nil {
					return err
				}
			}
		}
		_, err = ask(cmd.Context(), c, "PUT", path, nil, h, func(o *out, w dormouse.Workspace) {
			if end {
				o.line("the hold is over; dormancy and deletion wait for their grace")
			} else {
				o.line("held until %s", when(h.Until))
			}
		})
		return err
	}}
	f := cmd.Flags()
	f.DurationVar(&span, "for", 0, "how long")
	f.BoolVar(&end, "end", false, "end the hold")
	f.StringVar(&h.Note, "note", "", "why")
	f.StringVar(&rules, "rules", "", "which rules, such as stops; all if it is left out")
	f.StringVar(&template, "template", "", "all workspaces of a template")
	f.BoolVar(&all, "all", false, "everything")
	return cmd
}

func (c *ctl) holdPath(cmd *cobra.Command, args []string, template string, all bool) (string, error) {
	switch {
	case len(args) == 1 && template == "" && !all:
		id, err := c.id(cmd.Context(), args[0])
		return "/workspaces/" + id.String() + "/hold", err
	case len(args) == 0 && template != "" && !all:
		return "/templates/" + url.PathEscape(template) + "/hold", nil
	case len(args) == 0 && template == "" && all:
		return "/hold", nil
	}
	return "", fmt.Errorf("say what to hold, and only one: a WORKSPACE, --template or --all")
}
