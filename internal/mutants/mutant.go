package main

import (
	"fmt"
	"go/ast"
	"go/token"
	"regexp"
	"strings"
)

// Mutant is one change of one place.
type Mutant struct {
	ID   int    `json:"id"`
	File string `json:"file"`
	Line int    `json:"line"`
	// In is the function or declaration around it.
	In string `json:"in"`
	// Was and Is are the code before and after.
	Was  string `json:"was"`
	Is   string `json:"is"`
	Fate Fate   `json:"fate"`
	// By names the test that killed it, as far as its output says.
	By string `json:"by,omitempty"`

	target *target
	source *source
	// insertions are what the mutant adds to the text of its file; a mutant of a text of SQL leaves that to its host.
	insertions []insertion
	host       *Mutant
}

// Fate is what became of a mutant.
type Fate string

// The fates.
const (
	Killed   Fate = "killed"
	TimedOut Fate = "timed out" // killed too: the tests did not end
	Survived Fate = "survived"
	Missed   Fate = "not reached" // no test runs the code
	Untried  Fate = "untried"
	Accepted Fate = "accepted" // not tried, because it may live
)

func (m *Mutant) String() string {
	return fmt.Sprintf("%s:%d %s", m.File, m.Line, m.key())
}

// key is what a mutant is called as long as its code does not change, wherever it moves within its function.
func (m *Mutant) key() string { return m.In + ": " + m.Was + "  =>  " + m.Is }

func (m *Mutant) alive() bool { return m.Fate == Survived || m.Fate == Missed }

// insertion replaces size bytes at an offset of a file, none for one that only adds.
type insertion struct {
	at, size int
	text     string
	// closing says that it ends what an earlier one of the mutant began; at one offset the ends come first, the
	// innermost before the others.
	closing bool
	of      *Mutant
}

// finder collects the mutants of a file.
type finder struct {
	*target
	source  *source
	in      string
	mutants []*Mutant
	next    *int
	parents []ast.Node
}

func (f *finder) offset(p token.Pos) int { return f.fset.Position(p).Offset }

func (f *finder) code(n ast.Node) string {
	return string(f.source.text[f.offset(n.Pos()):f.offset(n.End())])
}

var spaces = regexp.MustCompile(`\s+`)

// short is code on one line, and not much of it.
func short(code string) string {
	code = strings.TrimSpace(spaces.ReplaceAllString(code, " "))
	if runes := []rune(code); len(runes) > 110 {
		code = string(runes[:107]) + "..."
	}
	return code
}

func (f *finder) add(at ast.Node, was, is string) *Mutant {
	*f.next++
	m := &Mutant{
		ID: *f.next, File: f.source.rel, Line: f.fset.Position(at.Pos()).Line, In: f.in, Was: short(was), Is: short(is), Fate: Untried,
		target: f.target, source: f.source,
	}
	f.mutants = append(f.mutants, m)
	return m
}

// wrap puts text around a node.
func (f *finder) wrap(m *Mutant, n ast.Node, before, after string) {
	m.insertions = append(m.insertions,
		insertion{at: f.offset(n.Pos()), text: before, of: m},
		insertion{at: f.offset(n.End()), text: after, closing: true, of: m})
}

// operator replaces the operator between two operands.
func (f *finder) operator(m *Mutant, e *ast.BinaryExpr, with string) {
	m.insertions = append(m.insertions, insertion{at: f.offset(e.OpPos), size: len(e.Op.String()), text: with, of: m})
}

// parent is the n-th node around the one that is looked at, nil at the top.
func (f *finder) parent(n int) ast.Node {
	if n > len(f.parents) {
		return nil
	}
	return f.parents[len(f.parents)-n]
}
