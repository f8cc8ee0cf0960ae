package main

import (
	"fmt"
	"io/fs"
	"regexp"
	"strings"
)

// checkPromises looks at the list of promises in README.md: each links the test that holds it, and each link to a test there
// and in docs names one that exists. Whoever renames a test learns of the promise.
func checkPromises(root fs.FS) ([]string, error) {
	pages, err := fs.Glob(root, "docs/*.md")
	if err != nil {
		return nil, err
	}
	var failures []string
	for _, page := range append([]string{"README.md"}, pages...) {
		text, err := fs.ReadFile(root, page)
		if err != nil {
			return nil, err
		}
		failures = append(failures, brokenTestLinks(root, page, string(text))...)
		if page == "README.md" {
			failures = append(failures, unheldPromises(string(text))...)
		}
	}
	return failures, nil
}

// testLink is a link to a test: the file, of tests or of the suite that every store passes, and the name behind the #.
var testLink = regexp.MustCompile(`\]\((?:\.\./)?([^)#\s]+_test\.go|store/storetest/\w+\.go)(?:#(\w+))?\)`)

func brokenTestLinks(root fs.FS, page, text string) (failures []string) {
	for _, m := range testLink.FindAllStringSubmatch(text, -1) {
		source, err := fs.ReadFile(root, m[1])
		switch {
		case err != nil:
			failures = append(failures, fmt.Sprintf("%s links %s, which does not exist", page, m[1]))
		case m[2] != "" && !strings.Contains(string(source), "func "+m[2]+"("):
			failures = append(failures, fmt.Sprintf("%s links %s in %s, which has no such test", page, m[2], m[1]))
		}
	}
	return failures
}

// promise begins an item of the list.
const promise = "- **"

func unheldPromises(readme string) (failures []string) {
	list, _, _ := strings.Cut(readme, "\n## ")
	items := strings.Split(list, "\n"+promise)[1:]
	if len(items) == 0 {
		return []string{"README.md makes no promise"}
	}
	for _, item := range items {
		item, _, _ = strings.Cut(item, "\n\n")
		held := false
		for _, m := range testLink.FindAllStringSubmatch(item, -1) {
			held = held || m[2] != ""
		}
		if !held {
			name, _, _ := strings.Cut(item, "**")
			failures = append(failures, fmt.Sprintf("README.md promises %q and links no test that holds it", name))
		}
	}
	return failures
}
