package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// module is the path of the root module. The nested modules' paths lie below it.
const module = "github.com/dormouse-go/dormouse"

// pkg is a package as go list tells of it.
type pkg struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	Imports    []string
	// ImportMap has the imports whose path differs from how they are written: what the standard library vendors.
	ImportMap map[string]string
}

// graph has every package of every module of go.work, and all that they link, by import path.
type graph map[string]*pkg

// load asks go list. It does not see test files: what they import reaches nobody.
func load() (graph, error) {
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Dir,GoFiles,Imports,ImportMap", "work")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	g := graph{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		switch err := d.Decode(&p); {
		case errors.Is(err, io.EOF):
			return g, nil
		case err != nil:
			return nil, fmt.Errorf("go list: %w", err)
		}
		g[p.ImportPath] = &p
	}
}

// own returns the packages of this repository in order, by the path that they have in it: "" is the root.
func (g graph) own() []string {
	var paths []string
	for path := range g {
		if rel, ok := relative(path); ok {
			paths = append(paths, rel)
		}
	}
	slices.Sort(paths)
	return paths
}

// imports returns the import paths of a package, as they are keys of the graph.
func (g graph) imports(path string) []string {
	p := g[path]
	if p == nil {
		return nil
	}
	resolved := make([]string, len(p.Imports))
	for i, written := range p.Imports {
		resolved[i] = written
		if actual, ok := p.ImportMap[written]; ok {
			resolved[i] = actual
		}
	}
	return resolved
}

// chain returns how a package comes to link one that matches, through none that matches a pattern of cut; the
// shortest way, nil if there is none.
func (g graph) chain(from string, matches func(path string) bool, cut []string) []string {
	before := map[string]string{from: ""}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		path := queue[0]
		if path != from && matches(path) {
			return wayTo(path, before)
		}
		if matchesAny(path, cut) {
			continue
		}
		for _, next := range g.imports(path) {
			if _, seen := before[next]; !seen {
				before[next] = path
				queue = append(queue, next)
			}
		}
	}
	return nil
}

func wayTo(path string, before map[string]string) []string {
	var way []string
	for ; path != ""; path = before[path] {
		way = append(way, display(path))
	}
	slices.Reverse(way)
	return way
}

// source is a parsed file of this repository, without test files.
type source struct {
	// Package is the path of its package in the repository, Name the file's own path in it, both with slashes.
	Package, Name string
	File          *ast.File
	Set           *token.FileSet
}

// at returns where a node stands: "lifecycle/rules.go:12".
func (s source) at(n ast.Node) string {
	return fmt.Sprintf("%s:%d", s.Name, s.Set.Position(n.Pos()).Line)
}

func (g graph) parse() ([]source, error) {
	var all []source
	set := token.NewFileSet()
	for _, rel := range g.own() {
		p := g[absolute(rel)]
		for _, name := range p.GoFiles {
			file, err := parser.ParseFile(set, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				return nil, err
			}
			all = append(all, source{Package: rel, Name: strings.TrimPrefix(rel+"/"+name, "/"), File: file, Set: set})
		}
	}
	return all, nil
}

// relative returns the path in this repository of an import path, false for packages of others.
func relative(path string) (string, bool) {
	if path == module {
		return "", true
	}
	return strings.CutPrefix(path, module+"/")
}

func absolute(rel string) string { return strings.TrimSuffix(module+"/"+rel, "/") }

// display shortens an import path for messages.
func display(path string) string {
	switch rel, own := relative(path); {
	case !own:
		return path
	case rel == "":
		return "the root package"
	default:
		return rel
	}
}

// matches reports whether a path is the pattern's, or below it where the pattern ends in "/...". The pattern "..."
// matches all.
func matches(path, pattern string) bool {
	if pattern == "..." {
		return true
	}
	if dir, ok := strings.CutSuffix(pattern, "/..."); ok {
		return path == dir || strings.HasPrefix(path, dir+"/")
	}
	return path == pattern
}

func matchesAny(path string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return matches(path, pattern) })
}
