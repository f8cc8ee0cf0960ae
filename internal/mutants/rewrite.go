package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"slices"
	"strings"
)

//go:embed switch.go.txt
var switchText string

// switchFile is the name under which the switch joins a package.
const switchFile = "zz_mutants_switch.go"

func (t *target) switchText() []byte {
	return []byte(strings.Replace(switchText, "PACKAGE", t.name, 1))
}

// mutateAll finds the mutants of all targets and compiles them into their texts. Mutants that do not compile are left out.
func mutateAll(targets []*target) ([]*Mutant, error) {
	next := 0
	var all []*Mutant
	for _, t := range targets {
		var found []*Mutant
		for _, s := range t.files {
			found = append(found, t.find(s, &next)...)
		}
		kept, err := t.rewrite(found)
		if err != nil {
			return nil, err
		}
		all = append(all, kept...)
	}
	return all, nil
}

// rewrite writes the texts of a target with all mutants, and drops those at fault until it compiles.
func (t *target) rewrite(mutants []*Mutant) ([]*Mutant, error) {
	for {
		places := map[*source][]place{}
		for _, s := range t.files {
			s.out, places[s] = s.compose(t.fset, mutants)
		}
		faults, err := t.checkTexts()
		if err != nil && len(faults) == 0 {
			return nil, err
		}
		if len(faults) == 0 {
			return mutants, nil
		}
		guilty := map[*Mutant]bool{}
		for _, fault := range faults {
			t.blame(fault, places, guilty)
		}
		if len(guilty) == 0 {
			return nil, fmt.Errorf("mutants of %s do not compile: %w", t.path, faults[0])
		}
		mutants = slices.DeleteFunc(mutants, func(m *Mutant) bool { return guilty[m] || guilty[m.host] })
	}
}

// checkTexts type-checks the rewritten files.
func (t *target) checkTexts() ([]types.Error, error) {
	fset := token.NewFileSet()
	files := make([]*ast.File, 0, len(t.files)+1)
	for _, s := range t.files {
		f, err := parser.ParseFile(fset, s.path, s.out, 0)
		if err != nil {
			return nil, fmt.Errorf("rewritten %s: %w", s.rel, err)
		}
		files = append(files, f)
	}
	f, err := parser.ParseFile(fset, filepath.Join(t.dir, switchFile), t.switchText(), 0)
	if err != nil {
		return nil, err
	}
	return t.check(fset, append(files, f), &types.Info{})
}

// place is where a mutant stands in a rewritten text.
type place struct {
	from, to int
	of       *Mutant
}

// blame finds the smallest mutant around a fault, or else those on its line.
func (t *target) blame(fault types.Error, places map[*source][]place, guilty map[*Mutant]bool) {
	at := fault.Fset.Position(fault.Pos)
	for s, all := range places {
		if s.path != at.Filename {
			continue
		}
		var best *place
		for i, p := range all {
			if p.from <= at.Offset && at.Offset <= p.to && (best == nil || p.to-p.from < best.to-best.from) {
				best = &all[i]
			}
		}
		if best != nil {
			guilty[best.of] = true
			return
		}
		for _, p := range all {
			if p.of.Line == at.Line {
				guilty[p.of] = true
			}
		}
	}
}

// compose writes the text of a file with its mutants.
func (s *source) compose(fset *token.FileSet, mutants []*Mutant) ([]byte, []place) {
	var edits []insertion
	for _, m := range mutants {
		if m.source == s {
			edits = append(edits, m.insertions...)
		}
	}
	edits = append(edits, s.variables(fset, edits)...)
	order(edits)
	var out bytes.Buffer
	at := 0
	spans := map[*Mutant]*place{}
	for _, e := range edits {
		out.Write(s.text[at:e.at])
		if e.of != nil && spans[e.of] == nil {
			spans[e.of] = &place{from: out.Len(), of: e.of}
		}
		out.WriteString(e.text)
		at = e.at + e.size
		if e.of != nil {
			spans[e.of].to = out.Len()
		}
	}
	out.Write(s.text[at:])
	places := make([]place, 0, len(spans))
	for _, p := range spans {
		places = append(places, *p)
	}
	return out.Bytes(), places
}

// order sorts edits so that they nest: at one place first what ends, the innermost before the others, then what replaces,
// then what begins, the outermost first.
func order(edits []insertion) {
	type keyed struct {
		insertion
		n int
	}
	all := make([]keyed, len(edits))
	for i, e := range edits {
		all[i] = keyed{e, i}
	}
	class := func(e keyed) int {
		switch {
		case e.closing:
			return 0
		case e.size > 0:
			return 2
		}
		return 1
	}
	slices.SortFunc(all, func(a, b keyed) int {
		switch {
		case a.at != b.at:
			return a.at - b.at
		case class(a) != class(b):
			return class(a) - class(b)
		case a.closing:
			return b.n - a.n
		}
		return a.n - b.n
	})
	for i, k := range all {
		edits[i] = k.insertion
	}
}

// variables makes variables of the constants of text that a mutant changes. The others stay constants, since an untyped one
// may be compared with a text of any type.
func (s *source) variables(fset *token.FileSet, changes []insertion) (edits []insertion) {
	ast.Inspect(s.tree, func(n ast.Node) bool {
		g, ok := n.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST || !allTexts(g) {
			return true
		}
		from, to := fset.Position(g.Pos()).Offset, fset.Position(g.End()).Offset
		if slices.ContainsFunc(changes, func(c insertion) bool { return c.at >= from && c.at < to }) {
			edits = append(edits, insertion{at: from, size: len("const"), text: "var"})
		}
		return true
	})
	return edits
}

func allTexts(g *ast.GenDecl) bool {
	for _, spec := range g.Specs {
		v := spec.(*ast.ValueSpec)
		if v.Type != nil || len(v.Values) == 0 {
			return false
		}
		for _, e := range v.Values {
			if !isText(e) {
				return false
			}
		}
	}
	return true
}

// isText says that an expression is put together from literals of text, one of which is SQL.
func isText(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.BasicLit:
		return e.Kind == token.STRING
	case *ast.BinaryExpr:
		return isText(e.X) || isText(e.Y)
	}
	return false
}
