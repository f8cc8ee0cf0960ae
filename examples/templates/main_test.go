package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTour(t *testing.T) {
	var out strings.Builder
	if err := tour(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"rendered just now, hit", "1 render, which", "parameters: other parameters than the last time: region",
		"hit, with 1 warning", "disk_gb will go", "10 passes, 1 render", "cpu is 100: it must be at most 8",
		"the image is the full one: true", "4 renders from 1 parse",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

func TestBudget(t *testing.T) {
	var out strings.Builder
	picture := filepath.Join(t.TempDir(), "budget.svg")
	if err := budget(t.Context(), &out, picture); err != nil {
		t.Fatal(err)
	}
	if rows := strings.Count(out.String(), " KiB "); rows != 12 {
		t.Errorf("%d budgets in\n%s", rows, out.String())
	}
	svg, err := os.ReadFile(picture)
	if err != nil || strings.Count(string(svg), "<circle") != 12 {
		t.Errorf("picture of %d bytes, %v", len(svg), err)
	}
}

func TestBadSourceIsInvalid(t *testing.T) {
	for _, source := range []string{`parameter "a" {`, `parameter "a" { max = "x" }`, `surprise {}`, `resource "a" {}`} {
		var invalid *invalidError
		if _, err := parse("bad.hcl", []byte(source)); !errors.As(err, &invalid) || !strings.Contains(err.Error(), "bad.hcl line 1") {
			t.Errorf("parse(%q): %v", source, err)
		}
	}
}
