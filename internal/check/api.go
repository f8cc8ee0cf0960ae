package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// apiDir has a file for each package with its exported names as they were last agreed on.
const apiDir = "internal/check/testdata/api"

func apiFile(rel string) string {
	if rel == "" {
		rel = "dormouse"
	}
	return filepath.Join(apiDir, filepath.FromSlash(rel)+".txt")
}

func writeNames(names map[string][]string) error {
	if err := os.RemoveAll(apiDir); err != nil {
		return err
	}
	for rel, list := range names {
		file := apiFile(rel)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(strings.Join(list, "\n")+"\n"), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// checkNames compares the exported names with those agreed on.
func checkNames(names map[string][]string) ([]string, error) {
	var failures []string
	for _, rel := range slices.Sorted(maps.Keys(names)) {
		agreed, err := os.ReadFile(apiFile(rel))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if diff := difference(lines(string(agreed)), names[rel]); len(diff) > 0 {
			failures = append(failures, fmt.Sprintf("%s: exported names changed; if that is meant, run scripts/check -update\n\t%s",
				display(absolute(rel)), strings.Join(diff, "\n\t")))
		}
	}
	gone, err := withoutPackage(names)
	return append(failures, gone...), err
}

// withoutPackage finds lists of packages that are no more.
func withoutPackage(names map[string][]string) ([]string, error) {
	known := map[string]bool{}
	for rel := range names {
		known[apiFile(rel)] = true
	}
	var failures []string
	err := filepath.WalkDir(apiDir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !known[path] {
			failures = append(failures, path+": its package is gone; if that is meant, run scripts/check -update")
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	return failures, err
}

func lines(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' })
}

// difference returns "- name" for what was removed and "+ name" for what was added.
func difference(before, after []string) []string {
	var diff []string
	for _, name := range before {
		if !slices.Contains(after, name) {
			diff = append(diff, "- "+name)
		}
	}
	for _, name := range after {
		if !slices.Contains(before, name) {
			diff = append(diff, "+ "+name)
		}
	}
	return diff
}
