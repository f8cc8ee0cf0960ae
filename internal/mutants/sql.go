package main

import (
	"fmt"
	"go/ast"
	"regexp"
	"strings"
)

var (
	isSQL = regexp.MustCompile(`\b(SELECT|INSERT INTO|UPDATE|DELETE FROM|WHERE|ORDER BY|JOIN|AND|OR|ON CONFLICT|CASE WHEN)\b`)
	// What is changed in a text of SQL, and into what. An equals sign behind SET is an assignment; a mutant of one is a
	// statement that does not parse, or nonsense, and costs only its time.
	inSQL = []struct {
		was *regexp.Regexp
		is  string
	}{
		{regexp.MustCompile(`<=`), "<"},
		{regexp.MustCompile(`>=`), ">"},
		{regexp.MustCompile(`[^<>!=]<([^=>])`), "<="},
		{regexp.MustCompile(`[^<>=-]>([^=>])`), ">="},
		{regexp.MustCompile(`\bAND\b`), "OR"},
		{regexp.MustCompile(`\bOR\b`), "AND"},
		{regexp.MustCompile(`\bNOT\b`), ""},
		{regexp.MustCompile(`\bIS NULL\b`), "IS NOT NULL"},
		{regexp.MustCompile(`\bIS NOT NULL\b`), "IS NULL"},
		{regexp.MustCompile(`(?i)\bleast\b`), "greatest"},
		{regexp.MustCompile(`(?i)\bgreatest\b`), "least"},
		{regexp.MustCompile(`\bmin\(`), "max("},
		{regexp.MustCompile(`\bmax\(`), "min("},
		{regexp.MustCompile(`\bSKIP LOCKED\b`), ""},
		{regexp.MustCompile(`\bFOR (NO KEY )?UPDATE( OF \w+)?\b`), ""},
		{regexp.MustCompile(` \+ 1\b`), " + 2"},
		{regexp.MustCompile(` - 1\b`), " - 2"},
		{regexp.MustCompile(`\bLIMIT 1\b`), "LIMIT 2"},
		{regexp.MustCompile(`\bDESC\b`), ""},
	}
)

// sql adds the mutants of a text of SQL. They are offsets in its value, so only texts without escapes have any.
func (f *finder) sql(lit *ast.BasicLit) {
	if len(lit.Value) < 2 || !isSQL.MatchString(lit.Value) || lit.Value[0] == '"' && strings.Contains(lit.Value, `\`) {
		return
	}
	text := lit.Value[1 : len(lit.Value)-1]
	var all []*Mutant
	var edits strings.Builder
	for _, change := range inSQL {
		for _, at := range change.was.FindAllStringSubmatchIndex(text, -1) {
			from, to := at[0], at[1]
			if text[from] != '<' && text[from] != '>' && (change.is == "<=" || change.is == ">=") {
				from, to = from+1, at[2] // the neighbours only say that it is no other operator
			}
			m := f.add(lit, around(text, from, to, text[from:to]), around(text, from, to, change.is))
			m.Line += strings.Count(text[:from], "\n")
			fmt.Fprintf(&edits, ", %d, %d, %d, %q", m.ID, from, to-from, change.is)
			all = append(all, m)
			if m != all[0] {
				m.host = all[0]
			}
		}
	}
	if len(all) > 0 {
		f.wrap(all[0], lit, "mu_text(", edits.String()+")")
	}
}

// around is a part of a text with what stands beside it.
func around(text string, from, to int, part string) string {
	left, right := max(0, from-35), min(len(text), to+35)
	return text[left:from] + part + text[to:right]
}
