package main

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/gohcl"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// template is the parsed form of one version: dear to make, the same for every owner and parameter, and large. It is
// shared by a handle and never part of a result.
type template struct {
	file       *hcl.File
	name       string
	parameters []parameter
	locals     hcl.Attributes
	resources  []resource
}

type parameter struct {
	Name       string   `hcl:"name,label"`
	Type       string   `hcl:"type,optional"`
	Default    string   `hcl:"default,optional"`
	Options    []string `hcl:"options,optional"`
	Max        float64  `hcl:"max,optional"`
	Deprecated string   `hcl:"deprecated,optional"`
	where      hcl.Range
}

type resource struct {
	kind, name string
	attributes hcl.Attributes
}

var language = &hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{
	{Type: "parameter", LabelNames: []string{"name"}}, {Type: "locals"}, {Type: "resource", LabelNames: []string{"kind", "name"}},
}}

// parse reads a template's source.
func parse(name string, source []byte) (*template, error) {
	file, diags := hclsyntax.ParseConfig(source, name, hcl.InitialPos)
	t := &template{file: file, name: name}
	if diags.HasErrors() {
		return nil, t.invalid(diags)
	}
	content, diags := file.Body.Content(language)
	for _, block := range content.Blocks {
		switch block.Type {
		case "parameter":
			p := parameter{Name: block.Labels[0], where: block.DefRange}
			diags = append(diags, gohcl.DecodeBody(block.Body, nil, &p)...)
			t.parameters = append(t.parameters, p)
		case "locals":
			attributes, more := block.Body.JustAttributes()
			t.locals, diags = attributes, append(diags, more...)
		case "resource":
			attributes, more := block.Body.JustAttributes()
			t.resources = append(t.resources, resource{block.Labels[0], block.Labels[1], attributes})
			diags = append(diags, more...)
		}
	}
	if diags.HasErrors() {
		return nil, t.invalid(diags)
	}
	return t, nil
}

// invalidError is what is wrong with a template or with parameters. Rendering again would find the same.
type invalidError struct{ text string }

func (e *invalidError) Error() string { return e.text }

func (t *template) invalid(diags hcl.Diagnostics) error {
	return &invalidError{strings.Join(t.describe(diags), "\n")}
}

// describe writes diagnostics with the lines they are about. They are kept as text: hcl.Diagnostics would keep the
// syntax tree alive with them.
func (t *template) describe(diags hcl.Diagnostics) (texts []string) {
	for _, d := range diags {
		var b strings.Builder
		if err := hcl.NewDiagnosticTextWriter(&b, map[string]*hcl.File{t.name: t.file}, 100, false).WriteDiagnostic(d); err != nil {
			fmt.Fprintf(&b, "%s: %s", d.Summary, d.Detail)
		}
		texts = append(texts, strings.TrimSpace(b.String()))
	}
	return texts
}
