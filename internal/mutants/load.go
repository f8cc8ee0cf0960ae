package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// target is a package to mutate.
type target struct {
	path, dir, name string
	fset            *token.FileSet
	files           []*source
	info            *types.Info
	imports         types.Importer
}

// source is a file of a target, and what shall be changed in it.
type source struct {
	path string // absolute
	rel  string // in the repository
	text []byte
	tree *ast.File
	out  []byte
}

type listed struct {
	ImportPath, Dir, Name, Export string
	GoFiles                       []string
	DepOnly, Standard             bool
	Error                         *struct{ Err string }
}

// switchImports are the packages that the switch needs, whether the target does or not.
var switchImports = []string{"cmp", "os", "strconv", "sync", "time"}

// load reads and type-checks the packages that the patterns match.
func load(ctx context.Context, patterns []string) ([]*target, error) {
	args := append([]string{"list", "-e", "-export", "-deps", "-json=ImportPath,Dir,Name,Export,GoFiles,DepOnly,Standard,Error"}, dotted(patterns)...)
	args = append(args, switchImports...)
	out, err := goTool(ctx, args...)
	if err != nil {
		return nil, err
	}
	exports := map[string]string{}
	var found []listed
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var l listed
		if err := d.Decode(&l); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		if l.Error != nil {
			return nil, errors.New(l.Error.Err)
		}
		exports[l.ImportPath] = l.Export
		if !l.DepOnly && !l.Standard {
			found = append(found, l)
		}
	}
	var targets []*target
	for _, l := range found {
		t, err := newTarget(l, exports)
		if err != nil {
			return nil, err
		}
		targets = append(targets, t)
	}
	return targets, nil
}

// dotted makes paths in the repository patterns of the go command.
func dotted(patterns []string) []string {
	var all []string
	for _, p := range patterns {
		all = append(all, "./"+strings.TrimPrefix(p, "./"))
	}
	return all
}

func goTool(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w\n%s", args[0], err, complaint.String())
	}
	return out, nil
}

func newTarget(l listed, exports map[string]string) (*target, error) {
	root, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	t := &target{path: l.ImportPath, dir: l.Dir, name: l.Name, fset: token.NewFileSet()}
	t.imports = importer.ForCompiler(t.fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
	for _, name := range l.GoFiles {
		s := &source{path: filepath.Join(l.Dir, name)}
		if s.rel, err = filepath.Rel(root, s.path); err != nil {
			return nil, err
		}
		if s.text, err = os.ReadFile(s.path); err != nil {
			return nil, err
		}
		if s.tree, err = parser.ParseFile(t.fset, s.path, s.text, parser.ParseComments); err != nil {
			return nil, err
		}
		t.files = append(t.files, s)
	}
	t.info = &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}, Selections: map[*ast.SelectorExpr]*types.Selection{}}
	_, err = t.check(t.fset, t.trees(), t.info)
	return t, err
}

func (t *target) trees() (all []*ast.File) {
	for _, s := range t.files {
		all = append(all, s.tree)
	}
	return all
}

// check type-checks files as the target's and returns what is wrong with them.
func (t *target) check(fset *token.FileSet, files []*ast.File, info *types.Info) (faults []types.Error, err error) {
	c := types.Config{Importer: t.imports, Error: func(err error) {
		var fault types.Error
		if errors.As(err, &fault) {
			faults = append(faults, fault)
		}
	}}
	_, err = c.Check(t.path, fset, files, info)
	return faults, err
}
