package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"os"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

// writePage renders the answers as one file that needs nothing else.
func writePage(file string, a *answers) error {
	svg := func(s string) template.HTML { return template.HTML(s) } // made by package forecast, which escapes texts
	var b bytes.Buffer
	err := page.Execute(&b, map[string]any{
		"Next": a.Next, "Week": svg(a.Outlook.SVG("Running workspaces", nil, 0)), "Table": a.Outlook.Text(),
		"Policies": svg(a.Policies.SVG("Hours against people kept waiting")), "Results": a.Policies.Text(),
		"Hours": a.Hours[:min(10, len(a.Hours))], "People": len(a.Hours), "Policy": a.Policy.String(),
		"Plan": svg(a.Plan.SVG("Running workspaces, four weeks ahead")), "PlanText": a.Plan.Text(),
		"Adds": a.Adds, "Warnings": a.Warnings,
	})
	if err != nil {
		return fmt.Errorf("render the page: %w", err)
	}
	return os.WriteFile(file, b.Bytes(), 0o644)
}
