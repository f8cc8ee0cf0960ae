package api

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/examples/controlplane/auth"
	"github.com/dormouse-go/dormouse/examples/controlplane/provision"
	"github.com/dormouse-go/dormouse/examples/controlplane/records"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
)

// Template is a template with what it is made of.
type Template struct {
	dormouse.Template
	Provisioner string            `json:"provisioner"`
	Source      string            `json:"source,omitempty"`
	Tags        map[string]string `json:"tags,omitempty"`
}

// NewTemplate is what a template shall be. Its policy counts for a new template only: a policy that is there already is changed by a
// plan that somebody has looked at.
type NewTemplate struct {
	Provisioner string            `json:"provisioner"`
	Source      string            `json:"source,omitempty"`
	Tags        map[string]string `json:"tags,omitempty"`
	Policy      dormouse.Policy   `json:"policy"`
}

// Planned is a policy that is to be, and how it treats the workspaces that exist.
type Planned struct {
	Policy dormouse.Policy `json:"policy"`
	lifecycle.PolicyTerms
}

func (a *API) templateRoutes() []route {
	return []route{
		{method: "GET", path: "/templates", summary: "list templates", who: people, out: typeOf[Page[Template]](), do: a.listTemplates, query: []param{{"after", "next of the page before"}}},
		{method: "GET", path: "/templates/{name}", summary: "a template", who: people, out: typeOf[Template](), do: func(q *request) (any, error) {
			t, err := a.template(q.Context(), q.PathValue("name"))
			if err != nil {
				return nil, err
			}
			return a.whole(q.Context(), t, q.who)
		}},
		{method: "PUT", path: "/templates/{name}", summary: "make a template, or a new version of it", who: admins, limit: 256 << 10, in: typeOf[NewTemplate](), out: typeOf[Template](), do: with(a.putTemplate)},
		{method: "POST", path: "/templates/{name}/plan", summary: "say what a policy would do, and write nothing", who: admins, in: typeOf[Planned](), out: typeOf[dormouse.PolicyPlan](), do: with(a.plan)},
		{
			method: "POST", path: "/templates/{name}/compare", summary: "say what follows from a plan", who: admins, limit: 2 << 20, in: typeOf[dormouse.PolicyPlan](), out: typeOf[forecast.PlanComparison](),
			do: with(func(q *request, in dormouse.PolicyPlan) (any, error) {
				if err := a.isOf(q, in); err != nil {
					return nil, err
				}
				return a.Plane.ComparePlan(q.Context(), in, time.Time{}, forecast.PlanConfig{})
			}),
		},
		{
			method: "POST", path: "/templates/{name}/apply", summary: "carry a plan out", who: admins, limit: 2 << 20, in: typeOf[dormouse.PolicyPlan](), out: typeOf[dormouse.PolicyPlan](), calls: 2 * time.Minute,
			do: with(func(q *request, in dormouse.PolicyPlan) (any, error) {
				if err := a.isOf(q, in); err != nil {
					return nil, err
				}
				return a.Plane.Apply(q.Context(), in, nil, dormouse.By(q.who.Name))
			}),
		},
		{method: "PUT", path: "/templates/{name}/hold", summary: "suspend rules of all its workspaces until an instant; none ends it", who: admins, in: typeOf[dormouse.Hold](), do: with(a.holdTemplate)},
		{
			method: "PUT", path: "/hold", summary: "suspend rules of everything until an instant; none ends it", who: admins, in: typeOf[dormouse.Hold](),
			do: with(func(q *request, in dormouse.Hold) (any, error) {
				in.By = q.who.Name
				return nil, a.Plane.HoldAll(q.Context(), in, dormouse.By(q.who.Name))
			}),
		},
	}
}

// template finds one by its name or id.
func (a *API) template(ctx context.Context, name string) (dormouse.Template, error) {
	if id, err := uuid.Parse(name); err == nil {
		return a.Plane.Template(ctx, id)
	}
	t, err := a.Plane.Template(ctx, a.Plane.TemplateID(name))
	if errors.Is(err, lifecycle.ErrNotFound) {
		err = refuse(http.StatusNotFound, "not_found", "there is no such template")
	}
	return t, err
}

// whole adds what a template is made of. Its source is for those who operate it.
func (a *API) whole(ctx context.Context, t dormouse.Template, who auth.Identity) (Template, error) {
	if a.Records == nil {
		return Template{Template: t}, nil
	}
	v, _, err := a.Records.Version(ctx, t.ActiveVersion)
	whole := Template{Template: t, Provisioner: v.Provisioner, Tags: v.Tags}
	if who.Kind == auth.Admin {
		whole.Source = v.Source
	}
	return whole, err
}

const templatePage = 100

func (a *API) listTemplates(q *request) (any, error) {
	after, err := q.queryID("after")
	if err != nil {
		return nil, err
	}
	list, err := a.Plane.Templates(q.Context(), after, templatePage)
	if err != nil {
		return nil, err
	}
	page := Page[Template]{Items: make([]Template, len(list))}
	if len(list) == templatePage {
		page.Next = list[len(list)-1].ID.String()
	}
	for i, t := range list {
		if page.Items[i], err = a.whole(q.Context(), t, q.who); err != nil {
			return nil, err
		}
	}
	return page, nil
}

func (a *API) putTemplate(q *request, in NewTemplate) (any, error) {
	t, err := a.PutTemplate(q.Context(), q.PathValue("name"), in, q.who.Name)
	if err != nil {
		return nil, err
	}
	return a.whole(q.Context(), t, q.who)
}

// PutTemplate makes a template, or a new version of one.
func (a *API) PutTemplate(ctx context.Context, name string, in NewTemplate, by string) (dormouse.Template, error) {
	if a.Records == nil {
		return dormouse.Template{}, errNoRecords
	}
	if err := in.validate(name); err != nil {
		return dormouse.Template{}, err
	}
	version := records.Version{Template: name, Provisioner: in.Provisioner, Source: in.Source, Tags: in.Tags}
	want := dormouse.Template{Name: name, ActiveVersion: version.ID(), Policy: in.Policy}
	old, err := a.template(ctx, name)
	switch {
	case err == nil:
		want.ID, want.Policy = old.ID, old.Policy
	case !isMissing(err):
		return dormouse.Template{}, err
	}
	if err := known("policy", in.Policy, old.Policy.Unknown()); err != nil {
		return dormouse.Template{}, err
	}
	if _, err := a.Records.PutVersion(ctx, version); err != nil { // before anything can refer to it
		return dormouse.Template{}, err
	}
	return a.Plane.PutTemplate(ctx, want, dormouse.By(by))
}

// validate checks what is stored before the library sees the template.
func (in NewTemplate) validate(name string) error {
	if err := validName("name", name); err != nil {
		return err
	}
	if _, err := queue.NewTagSet(in.Tags); err != nil {
		return invalid.As("tags", err)
	}
	_, notID := uuid.Parse(name)
	switch {
	case notID == nil:
		return invalid.New("name", name, "must not be an id: templates are found by either")
	case strings.Contains(in.Source, "\x00"):
		return invalid.New("source", "", "must not hold zero bytes")
	case in.Provisioner == provision.Process && in.Source != "":
		return invalid.New("source", "", "must be empty: processes are made of nothing")
	case in.Provisioner == provision.Terraform && in.Source == "":
		return invalid.New("source", "", "must be a template of HCL")
	case in.Provisioner != provision.Process && in.Provisioner != provision.Terraform:
		return invalid.New("provisioner", short(in.Provisioner), "must be process or terraform")
	}
	return nil
}

func isMissing(err error) bool {
	var r refused
	return errors.As(err, &r) && r.Status == http.StatusNotFound || errors.Is(err, lifecycle.ErrNotFound)
}

// known refuses a policy with members that are no rules, and that are not stored either: a rule that is misspelled would be none.
// Those that are stored are a later version's, and stay with whoever takes the policy, changes it and sends it back.
func known(field string, p dormouse.Policy, stored []string) error {
	names := slices.DeleteFunc(p.Unknown(), func(name string) bool { return slices.Contains(stored, name) })
	if len(names) > 0 {
		return invalid.New(field, strings.Join(names, ", "), "must have no other members than those of a policy")
	}
	return nil
}

func (a *API) plan(q *request, in Planned) (any, error) {
	t, err := a.template(q.Context(), q.PathValue("name"))
	if err != nil {
		return nil, err
	}
	if err := known("policy", in.Policy, t.Policy.Unknown()); err != nil {
		return nil, err
	}
	return a.Plane.Plan(q.Context(), t.ID, dormouse.PolicyChange{Policy: in.Policy, PolicyTerms: in.PolicyTerms})
}

// isOf refuses a plan of another template than that of the path, and one of rules that are none. What the plan says of the policy
// before it is never stored, and the stored one may have lost members since.
func (a *API) isOf(q *request, plan dormouse.PolicyPlan) error {
	t, err := a.template(q.Context(), q.PathValue("name"))
	if err == nil && plan.Change.Template.ID != t.ID {
		err = invalid.New("change.template.id", plan.Change.Template.ID, "must be the template of the path")
	}
	return cmp.Or(err, known("change.policy", plan.Change.Policy, t.Policy.Unknown()))
}

func (a *API) holdTemplate(q *request, in dormouse.Hold) (any, error) {
	t, err := a.template(q.Context(), q.PathValue("name"))
	if err != nil {
		return nil, err
	}
	in.By = q.who.Name
	return nil, a.Plane.HoldTemplate(q.Context(), t.ID, in, dormouse.By(q.who.Name))
}

func parseNumber(name, s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil || n < 0 {
		return 0, invalid.New(name, short(s), "must be a number")
	}
	return n, nil
}
