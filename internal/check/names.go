package main

import (
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"
)

// exportedNames returns the exported names of each package that others may import: a line for each, its kind first,
// sorted. Methods and fields of exported types are among them: "method Cron.Next", "field Config.Clock".
func exportedNames(sources []source) map[string][]string {
	names := map[string][]string{}
	for _, s := range sources {
		if !importable(s) {
			continue
		}
		for _, decl := range s.File.Decls {
			names[s.Package] = append(names[s.Package], namesOf(decl)...)
		}
	}
	for _, list := range names {
		slices.Sort(list)
	}
	return names
}

func importable(s source) bool {
	return s.File.Name.Name != "main" && !strings.Contains("/"+s.Package+"/", "/internal/") && !matches(s.Package, "examples/...")
}

func namesOf(decl ast.Decl) []string {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		return functionName(d)
	case *ast.GenDecl:
		var names []string
		for _, spec := range d.Specs {
			names = append(names, specNames(d.Tok, spec)...)
		}
		return names
	}
	return nil
}

func functionName(f *ast.FuncDecl) []string {
	if !f.Name.IsExported() {
		return nil
	}
	if f.Recv == nil {
		return []string{"func " + f.Name.Name}
	}
	if of := receiver(f.Recv.List[0].Type); ast.IsExported(of) {
		return []string{"method " + of + "." + f.Name.Name}
	}
	return nil
}

// receiver returns the name of a receiver's type, without pointer and type parameters.
func receiver(t ast.Expr) string {
	switch t := t.(type) {
	case *ast.StarExpr:
		return receiver(t.X)
	case *ast.IndexExpr:
		return receiver(t.X)
	case *ast.IndexListExpr:
		return receiver(t.X)
	}
	return types.ExprString(t)
}

func specNames(tok token.Token, spec ast.Spec) []string {
	switch s := spec.(type) {
	case *ast.ValueSpec:
		return exportedOf(tok.String()+" ", s.Names)
	case *ast.TypeSpec:
		if s.Name.IsExported() {
			return append([]string{"type " + s.Name.Name}, members(s)...)
		}
	}
	return nil
}

func members(s *ast.TypeSpec) []string {
	switch t := s.Type.(type) {
	case *ast.StructType:
		return memberNames("field "+s.Name.Name+".", s.Name.Name, t.Fields)
	case *ast.InterfaceType:
		return memberNames("method "+s.Name.Name+".", s.Name.Name, t.Methods)
	}
	return nil
}

func memberNames(prefix, of string, list *ast.FieldList) []string {
	var names []string
	for _, f := range list.List {
		if len(f.Names) == 0 {
			names = append(names, "embed "+of+": "+types.ExprString(f.Type))
		}
		names = append(names, exportedOf(prefix, f.Names)...)
	}
	return names
}

func exportedOf(prefix string, ids []*ast.Ident) []string {
	var names []string
	for _, id := range ids {
		if id.IsExported() {
			names = append(names, prefix+id.Name)
		}
	}
	return names
}
