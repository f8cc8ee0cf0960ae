package main

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"strings"
)

// find returns the mutants of a file.
func (t *target) find(s *source, next *int) []*Mutant {
	f := &finder{target: t, source: s, next: next}
	for _, d := range s.tree.Decls {
		f.in = nameOf(d)
		if g, ok := d.(*ast.GenDecl); ok && (g.Tok == token.TYPE || g.Tok == token.IMPORT) {
			continue
		}
		ast.Inspect(d, f.visit)
	}
	return f.mutants
}

func nameOf(d ast.Decl) string {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil {
			return d.Name.Name
		}
		recv := types.ExprString(d.Recv.List[0].Type)
		recv, _, _ = strings.Cut(strings.TrimPrefix(recv, "*"), "[")
		return recv + "." + d.Name.Name
	case *ast.GenDecl:
		if len(d.Specs) > 0 {
			if v, ok := d.Specs[0].(*ast.ValueSpec); ok {
				return v.Names[0].Name
			}
		}
	}
	return "?"
}

func (f *finder) visit(n ast.Node) bool {
	if n == nil {
		f.parents = f.parents[:len(f.parents)-1]
		return true
	}
	if !f.look(n) {
		return false
	}
	f.parents = append(f.parents, n)
	return true
}

// look adds the mutants of a node itself and reports whether those within it are wanted.
func (f *finder) look(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.FuncType, *ast.ArrayType, *ast.MapType, *ast.StructType, *ast.ImportSpec:
		return false
	case ast.Expr:
		return f.expression(n)
	case ast.Stmt:
		return f.statement(n)
	}
	return true
}

// statement adds the mutants that leave a statement out.
func (f *finder) statement(n ast.Stmt) bool {
	switch n := n.(type) {
	case *ast.ExprStmt:
		if f.isLog(n.X) || f.isLock(n.X) {
			return false
		}
		if call, ok := n.X.(*ast.CallExpr); !ok || types.ExprString(call.Fun) != "panic" {
			f.leaveOut(n)
		}
	case *ast.AssignStmt:
		if n.Tok != token.DEFINE && !blank(n) {
			f.leaveOut(n)
		}
	case *ast.DeferStmt:
		if !f.isLock(n.Call) {
			f.leaveOut(n)
		}
	case *ast.IncDecStmt, *ast.SendStmt, *ast.GoStmt:
		f.leaveOut(n)
	case *ast.BranchStmt:
		if n.Tok != token.FALLTHROUGH && n.Tok != token.GOTO && f.insideIf() {
			f.leaveOut(n)
		}
	case *ast.ReturnStmt:
		if f.insideIf() {
			f.leaveOut(n)
		}
		f.returns(n)
	case *ast.IfStmt:
		f.condition(n.Cond)
	case *ast.ForStmt:
		f.condition(n.Cond)
	case *ast.CaseClause:
		if s, ok := f.parent(2).(*ast.SwitchStmt); ok && s.Tag == nil {
			for _, e := range n.List {
				f.condition(e)
			}
		}
	}
	return true
}

func blank(n *ast.AssignStmt) bool {
	for _, e := range n.Lhs {
		if id, ok := e.(*ast.Ident); !ok || id.Name != "_" {
			return false
		}
	}
	return true
}

// leaveOut drops a statement. Whatever it uses stays in use for the compiler.
func (f *finder) leaveOut(n ast.Stmt) {
	switch p := f.parent(1).(type) {
	case *ast.BlockStmt, *ast.CaseClause, *ast.CommClause:
		if c, ok := p.(*ast.CommClause); ok && c.Comm == n {
			return
		}
		m := f.add(n, f.code(n), "left out")
		f.wrap(m, n, fmt.Sprintf("if !mu_on(%d) { ", m.ID), " }")
	}
}

// insideIf says that the statement stands in an if without else, whose end the function may reach: leaving out what ends
// it keeps the function complete.
func (f *finder) insideIf() bool {
	i, ok := f.parent(2).(*ast.IfStmt)
	return ok && i.Else == nil && f.parent(1) == ast.Node(i.Body) && !f.isElse(i)
}

func (f *finder) isElse(i *ast.IfStmt) bool {
	outer, ok := f.parent(3).(*ast.IfStmt)
	return ok && outer.Else == ast.Stmt(i)
}

// condition adds the negation of the condition of an if or for. A check of an error is left alone: the mutants of its
// body stand for it.
func (f *finder) condition(e ast.Expr) {
	if e == nil || f.isErrorCheck(e) {
		return
	}
	f.negate(e)
}

func (f *finder) negate(e ast.Expr) {
	m := f.add(e, f.code(e), "!("+f.code(e)+")")
	f.wrap(m, e, "((", fmt.Sprintf(") != mu_on(%d))", m.ID))
}

func (f *finder) isErrorCheck(e ast.Expr) bool {
	b, ok := e.(*ast.BinaryExpr)
	return ok && b.Op == token.NEQ && types.ExprString(b.Y) == "nil" && f.isError(f.info.TypeOf(b.X))
}

func (f *finder) isError(t types.Type) bool {
	return t != nil && types.Identical(t, types.Universe.Lookup("error").Type())
}

// returns adds the return of nothing, and of no error.
func (f *finder) returns(n *ast.ReturnStmt) {
	results := f.resultTypes()
	if len(results) == 0 || len(n.Results) == 0 || f.allZero(n) {
		return
	}
	if len(n.Results) == 1 && f.isBool(n.Results[0]) {
		f.negate(n.Results[0])
		return
	}
	zeros := make([]string, len(results))
	for i, r := range results {
		zeros[i] = "*new(" + r + ")"
	}
	f.early(n, strings.Join(zeros, ", "), "return of zero")
	last := n.Results[len(n.Results)-1]
	if len(n.Results) < 2 || len(n.Results) != len(results) || !f.isError(f.info.TypeOf(last)) || isZero(last) || f.zeros(n.Results[:len(n.Results)-1]) {
		return
	}
	kept := make([]string, 0, len(results))
	for _, r := range n.Results[:len(n.Results)-1] {
		kept = append(kept, f.code(r))
	}
	f.early(n, strings.Join(kept, ", ")+", nil", "return without the error")
}

// early puts another return before a return.
func (f *finder) early(n *ast.ReturnStmt, values, is string) {
	m := f.add(n, f.code(n), is)
	m.insertions = append(m.insertions, insertion{at: f.offset(n.Pos()), text: fmt.Sprintf("if mu_on(%d) { return %s }; ", m.ID, strings.ReplaceAll(values, "\n", " ")), of: m})
}

// resultTypes are the types of the results of the function around, as its source spells them.
func (f *finder) resultTypes() (all []string) {
	for i := 1; f.parent(i) != nil; i++ {
		var t *ast.FuncType
		switch p := f.parent(i).(type) {
		case *ast.FuncDecl:
			t = p.Type
		case *ast.FuncLit:
			t = p.Type
		default:
			continue
		}
		if t.Results == nil {
			return nil
		}
		for _, r := range t.Results.List {
			for range max(1, len(r.Names)) {
				all = append(all, f.code(r.Type))
			}
		}
		return all
	}
	return nil
}

func (f *finder) allZero(n *ast.ReturnStmt) bool { return f.zeros(n.Results) }

func (f *finder) zeros(all []ast.Expr) bool {
	for _, e := range all {
		if !isZero(e) {
			return false
		}
	}
	return true
}

func isZero(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name == "nil" || e.Name == "false"
	case *ast.BasicLit:
		return e.Value == "0" || e.Value == `""`
	case *ast.CompositeLit:
		return len(e.Elts) == 0
	}
	return false
}

func (f *finder) isBool(e ast.Expr) bool {
	t, ok := f.info.TypeOf(e).(*types.Basic)
	return ok && t.Info()&types.IsBoolean != 0
}

// isLog reports a call of a logger: what a line of a log says is no promise.
func (f *finder) isLog(e ast.Expr) bool {
	call, ok := e.(*ast.CallExpr)
	if !ok {
		return false
	}
	s, ok := call.Fun.(*ast.SelectorExpr)
	return ok && f.info.Selections[s] != nil && strings.HasSuffix(f.info.Selections[s].Recv().String(), "log/slog.Logger")
}

// isLock reports a call of a mutex: without one a test fails by chance or for lack of time, if at all. The race detector
// holds them.
func (f *finder) isLock(e ast.Expr) bool {
	call, ok := e.(*ast.CallExpr)
	if !ok {
		return false
	}
	s, ok := call.Fun.(*ast.SelectorExpr)
	return ok && f.info.Selections[s] != nil && strings.HasSuffix(s.Sel.Name, "ock") && strings.Contains(f.info.Selections[s].Obj().String(), "sync.")
}

// expression adds the mutants of an expression.
func (f *finder) expression(e ast.Expr) bool {
	tv := f.info.Types[e]
	if tv.IsType() {
		return false
	}
	if tv.Value != nil {
		return f.constant(e, tv)
	}
	switch e := e.(type) {
	case *ast.BinaryExpr:
		f.binary(e)
	case *ast.CallExpr:
		f.call(e)
	}
	return true
}

// constant adds the neighbour of a number, and the changes of a text of SQL. A constant's parts are not looked at, but for
// texts that are put together.
func (f *finder) constant(e ast.Expr, tv types.TypeAndValue) bool {
	switch tv.Value.Kind() {
	case constant.Int, constant.Float:
		if f.named(e) || f.inConst() || f.isSize() {
			return false
		}
		typ := f.spelled(tv.Type)
		if typ == "" {
			return false
		}
		m := f.add(e, f.code(e), f.code(e)+" and one")
		f.wrap(m, e, fmt.Sprintf("mu_constant(%d, %s(", m.ID, typ), "))")
	case constant.String:
		if lit, ok := e.(*ast.BasicLit); ok {
			f.sql(lit)
		}
		return true
	}
	return false
}

// named says that an expression is the name of a constant, such as one of an enumeration: its neighbour means something
// else. Durations such as time.Minute are numbers.
func (f *finder) named(e ast.Expr) bool {
	switch e.(type) {
	case *ast.Ident:
		return true
	case *ast.SelectorExpr:
		return f.info.TypeOf(e).String() != "time.Duration"
	}
	return false
}

// isSize says that the number is one that make is told: a capacity is a hint.
func (f *finder) isSize() bool {
	call, ok := f.parent(1).(*ast.CallExpr)
	return ok && types.ExprString(call.Fun) == "make"
}

func (f *finder) inConst() bool {
	for _, p := range f.parents {
		if g, ok := p.(*ast.GenDecl); ok && g.Tok == token.CONST {
			return true
		}
	}
	return false
}

// spelled is how a file may write a type, "" if it has no way.
func (f *finder) spelled(t types.Type) string {
	possible := true
	name := types.TypeString(t, func(p *types.Package) string {
		if p.Path() == f.path {
			return ""
		}
		for _, i := range f.source.tree.Imports {
			if strings.Trim(i.Path.Value, `"`) == p.Path() {
				if i.Name != nil {
					return i.Name.Name
				}
				return p.Name()
			}
		}
		possible = false
		return ""
	})
	if !possible || strings.HasPrefix(name, "untyped") {
		return ""
	}
	return name
}

var comparisons = map[token.Token][2]string{
	token.LSS: {"mu_less", "<="}, token.LEQ: {"mu_atMost", "<"}, token.GTR: {"mu_greater", ">="}, token.GEQ: {"mu_atLeast", ">"},
}

var sums = map[token.Token][2]string{
	token.ADD: {"mu_add", "-"}, token.SUB: {"mu_subtract", "+"}, token.MUL: {"mu_multiply", "+"}, token.QUO: {"mu_divide", "*"}, token.REM: {"mu_remainder", "/"},
}

func (f *finder) binary(e *ast.BinaryExpr) {
	if c, ok := comparisons[e.Op]; ok {
		f.replace(e, c[0], c[1])
		return
	}
	if s, ok := sums[e.Op]; ok {
		if b, ok := f.info.TypeOf(e).Underlying().(*types.Basic); ok && b.Info()&types.IsNumeric != 0 {
			f.replace(e, s[0], s[1])
		}
		return
	}
	switch e.Op {
	case token.EQL, token.NEQ:
		if !f.negatedAlready(e) && !f.isErrorCheck(e) {
			f.negate(e)
		}
	case token.LAND:
		f.operand(e.X, "(%s || mu_on(%d))", "true")
		f.operand(e.Y, "(%s || mu_on(%d))", "true")
	case token.LOR:
		f.operand(e.X, "(%s && !mu_on(%d))", "false")
		f.operand(e.Y, "(%s && !mu_on(%d))", "false")
	}
}

func (f *finder) replace(e *ast.BinaryExpr, helper, with string) {
	m := f.add(e, f.code(e), f.code(e.X)+" "+with+" "+f.code(e.Y))
	f.wrap(m, e, fmt.Sprintf("%s(%d, ", helper, m.ID), ")")
	f.operator(m, e, ",")
}

// operand makes one operand of a condition count for nothing.
func (f *finder) operand(e ast.Expr, format, is string) {
	around := f.parentCode(e)
	m := f.add(e, f.code(e)+" of "+around, is)
	before, after, _ := strings.Cut(format, "%s")
	f.wrap(m, e, before, fmt.Sprintf(after, m.ID))
}

func (f *finder) parentCode(e ast.Expr) string {
	for i := len(f.parents) - 1; i >= 0; i-- {
		if s, ok := f.parents[i].(ast.Stmt); ok {
			if i, ok := s.(*ast.IfStmt); ok {
				return f.code(i.Cond)
			}
			return f.code(s)
		}
	}
	return f.code(e)
}

// negatedAlready says that what stands around the expression has it negated, or left out.
func (f *finder) negatedAlready(e ast.Expr) bool {
	switch p := f.parent(1).(type) {
	case *ast.IfStmt:
		return p.Cond == e
	case *ast.ForStmt:
		return p.Cond == e
	case *ast.ReturnStmt:
		return len(p.Results) == 1
	case *ast.CaseClause:
		s, ok := f.parent(3).(*ast.SwitchStmt)
		return ok && s.Tag == nil
	case *ast.BinaryExpr:
		return p.Op == token.LAND || p.Op == token.LOR
	}
	return false
}

// call adds the mutants of calls whose meaning is known: comparisons and sums of instants, the smallest, the largest.
func (f *finder) call(e *ast.CallExpr) {
	if id, ok := e.Fun.(*ast.Ident); ok && (id.Name == "min" || id.Name == "max") {
		if _, builtin := f.info.Uses[id].(*types.Builtin); builtin && e.Ellipsis == token.NoPos {
			f.extreme(e, id)
		}
		return
	}
	s, ok := e.Fun.(*ast.SelectorExpr)
	if !ok || len(e.Args) != 1 || f.info.Selections[s] == nil || f.info.TypeOf(s.X).String() != "time.Time" {
		return
	}
	switch s.Sel.Name {
	case "Before":
		f.method(e, s, "mu_before", f.code(s.X)+" is at most "+f.code(e.Args[0]))
	case "After":
		f.method(e, s, "mu_after", f.code(s.X)+" is at least "+f.code(e.Args[0]))
	case "Equal":
		if !f.negatedAlready(e) {
			f.negate(e)
		}
	case "Add":
		f.method(e, s, "mu_later", f.code(s.X))
	}
}

// method makes x.M(y) helper(n, x, y).
func (f *finder) method(e *ast.CallExpr, s *ast.SelectorExpr, helper, is string) {
	m := f.add(e, f.code(e), is)
	f.wrap(m, e, fmt.Sprintf("%s(%d, ", helper, m.ID), "")
	from, to := f.offset(s.X.End()), f.offset(e.Lparen)+1
	m.insertions = append(m.insertions, insertion{at: from, size: to - from, text: ", ", of: m})
}

func (f *finder) extreme(e *ast.CallExpr, id *ast.Ident) {
	other := map[string]string{"min": "max", "max": "min"}[id.Name]
	m := f.add(e, f.code(e), other+strings.TrimPrefix(f.code(e), id.Name))
	from, to := f.offset(e.Pos()), f.offset(e.Lparen)+1
	m.insertions = append(m.insertions, insertion{at: from, size: to - from, text: fmt.Sprintf("mu_%s(%d, ", id.Name, m.ID), of: m})
}
