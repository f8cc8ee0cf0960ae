package main

import (
	"fmt"
	"go/ast"
	"regexp"
	"slices"
	"strings"
)

// words are metaphors that the code once used where the field has a term: docs/architecture.md has the glossary.
var words = []string{"hall", "graves", "bury", "crew", "postbox", "farewell", "soil", "ear"}

// unrenamed are packages whose subject is people, not the machine.
var unrenamed = []string{
	"examples/...",
}

// checkWords reports each such word once for each file.
func checkWords(sources []source) []string {
	var failures []string
	for _, s := range sources {
		if matchesAny(s.Package, unrenamed) {
			continue
		}
		seen := map[string]bool{}
		ast.Inspect(s.File, func(n ast.Node) bool {
			id, ok := n.(*ast.Ident)
			if !ok {
				return true
			}
			if word := metaphor(id.Name); word != "" && !seen[word] {
				seen[word] = true
				failures = append(failures, fmt.Sprintf("%s: %s: the field has a term for %q", s.at(id), id.Name, word))
			}
			return true
		})
	}
	return failures
}

// hump is a word of an identifier.
var hump = regexp.MustCompile(`[A-Z]?[a-z]+|[A-Z]+`)

// metaphor returns the first word of an identifier that is among words, "" if none is.
func metaphor(identifier string) string {
	for _, word := range hump.FindAllString(identifier, -1) {
		if word = strings.ToLower(word); slices.Contains(words, word) {
			return word
		}
	}
	return ""
}
