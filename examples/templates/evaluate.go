package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// user is the owner's data that a template may read. It is not part of the cache's key: when it changes, the host
// invalidates the owner.
type user struct {
	Name   string
	Groups []string
}

// rendered is the result: plain values, a few hundred bytes. Warnings are part of it, so that a hit has them too.
type rendered struct {
	JSON     string
	Warnings []string
}

func (r *rendered) size() int64 {
	n := len(r.JSON) + 64
	for _, w := range r.Warnings {
		n += len(w) + 16
	}
	return int64(n)
}

// evaluate works a template out for an owner and parameters.
func (t *template) evaluate(owner user, params map[string]string) (*rendered, error) {
	values, diags := t.values(params)
	if diags.HasErrors() {
		return nil, t.invalid(diags)
	}
	scope := &hcl.EvalContext{
		Variables: map[string]cty.Value{"value": cty.ObjectVal(values), "owner": owner.value()},
		Functions: map[string]function.Function{"contains": stdlib.ContainsFunc, "join": stdlib.JoinFunc},
	}
	locals, more := object(t.locals, scope)
	diags = append(diags, more...)
	scope.Variables["local"] = locals
	resources := map[string]json.RawMessage{}
	for _, r := range t.resources {
		value, more := object(r.attributes, scope)
		diags = append(diags, more...)
		if more.HasErrors() {
			continue
		}
		text, err := ctyjson.Marshal(value, value.Type())
		if err != nil {
			return nil, fmt.Errorf("write %s.%s: %w", r.kind, r.name, err)
		}
		resources[r.kind+"."+r.name] = text
	}
	if diags.HasErrors() {
		return nil, t.invalid(diags)
	}
	text, err := json.Marshal(resources)
	if err != nil {
		return nil, fmt.Errorf("write resources: %w", err)
	}
	return &rendered{JSON: string(text), Warnings: t.describe(diags)}, nil
}

// object evaluates a block's attributes.
func object(attributes hcl.Attributes, scope *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	values := map[string]cty.Value{}
	var diags hcl.Diagnostics
	for name, a := range attributes {
		value, more := a.Expr.Value(scope)
		diags = append(diags, more...)
		values[name] = value
	}
	return cty.ObjectVal(values), diags
}

// values checks the parameters and converts them.
func (t *template) values(params map[string]string) (map[string]cty.Value, hcl.Diagnostics) {
	values := map[string]cty.Value{}
	var diags hcl.Diagnostics
	for _, p := range t.parameters {
		text, given := params[p.Name]
		if !given {
			text = p.Default
		}
		value, problem := p.value(text)
		values[p.Name] = value
		if problem != "" {
			diags = append(diags, p.diagnostic(hcl.DiagError, "Invalid parameter", problem))
		}
		if given && p.Deprecated != "" {
			diags = append(diags, p.diagnostic(hcl.DiagWarning, "Deprecated parameter", p.Name+" will go: "+p.Deprecated))
		}
	}
	return values, diags
}

func (p parameter) value(text string) (v cty.Value, problem string) {
	if len(p.Options) > 0 && !slices.Contains(p.Options, text) {
		return cty.StringVal(text), fmt.Sprintf("%s is %q: it must be one of %q.", p.Name, text, p.Options)
	}
	if p.Type != "number" {
		return cty.StringVal(text), ""
	}
	n, err := strconv.ParseFloat(text, 64)
	switch {
	case err != nil:
		return cty.NumberIntVal(0), fmt.Sprintf("%s is %q: it must be a number.", p.Name, text)
	case p.Max > 0 && n > p.Max:
		return cty.NumberFloatVal(n), fmt.Sprintf("%s is %s: it must be at most %v.", p.Name, text, p.Max)
	}
	return cty.NumberFloatVal(n), ""
}

func (p parameter) diagnostic(severity hcl.DiagnosticSeverity, summary, detail string) *hcl.Diagnostic {
	return &hcl.Diagnostic{Severity: severity, Summary: summary, Detail: detail, Subject: &p.where}
}

func (u user) value() cty.Value {
	groups := make([]cty.Value, len(u.Groups))
	for i, g := range u.Groups {
		groups[i] = cty.StringVal(g)
	}
	list := cty.ListValEmpty(cty.String)
	if len(groups) > 0 {
		list = cty.ListVal(groups)
	}
	return cty.ObjectVal(map[string]cty.Value{"name": cty.StringVal(u.Name), "groups": list})
}
