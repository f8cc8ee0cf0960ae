package dormouse_test

import (
	"cmp"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"math/rand/v2"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/schedule"
)

// models are what package dormouse gives to an API, or takes from one.
var models = []any{
	dormouse.Workspace{},
	dormouse.NewWorkspace{},
	dormouse.Template{},
	dormouse.Owner{},
	dormouse.BuildRecord{},
	dormouse.ListQuery{},
	dormouse.CountQuery{},
	dormouse.Adopted{},
	dormouse.ShadowReport{},
	dormouse.Process{},
	dormouse.Notice{},
	dormouse.Event{},
	dormouse.Problem{},
	dormouse.NotFoundError{},
	dormouse.Policy{},
	dormouse.Schedule{},
	dormouse.Hold{},
	dormouse.Explanation{},
	dormouse.PolicyChange{},
	dormouse.PolicyPlan{},
	dormouse.Observation{},
	dormouse.BuildQuery{},
	dormouse.Claim{},
	dormouse.Claimed{},
	lifecycle.Template{},
	lifecycle.PolicyTerms{},
	lifecycle.Engine{},
	lifecycle.Job{},
	lifecycle.Floors{},
	forecast.Step{},
	forecast.Outlook{},
	forecast.Candidate{},
	forecast.Simulation{},
	forecast.PlanComparison{},
	forecast.Session{},
	forecast.WorkingHours{},
	forecast.Usage{},
	forecast.Suggestion{},
	forecast.PolicySuggestion{},
	forecast.PoolSuggestion{},
	prewarm.Diagnosis{},
}

// Every struct with names for JSON that a host gets from these packages is one of the models, or in one.
func TestModelsAreAll(t *testing.T) {
	tried := map[string]bool{}
	for _, m := range models {
		walk(reflect.TypeOf(m), tried)
	}
	for _, folder := range []string{".", "lifecycle", "lifecycle/forecast", "lifecycle/forecast/lint", "lifecycle/forecast/shadow", "prewarm"} {
		for _, name := range withNames(t, folder) {
			if pkg := cmp.Or(strings.TrimPrefix(path.Base(folder), "."), "dormouse"); !tried[pkg+"."+name] {
				t.Errorf("%s.%s has names for JSON, and no test writes and reads it", pkg, name)
			}
		}
	}
}

// walk notes a type, and those that its fields have.
func walk(t reflect.Type, seen map[string]bool) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Array:
		walk(t.Elem(), seen)
	case reflect.Struct:
		if seen[t.String()] {
			return
		}
		seen[t.String()] = true
		for i := range t.NumField() {
			walk(t.Field(i).Type, seen)
		}
	}
}

// withNames are the exported structs of a package that have names for JSON.
func withNames(t *testing.T, folder string) (found []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files in %s: %v", folder, err)
	}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				_, in := n.(*ast.FuncDecl)
				return !in
			}
			if s, ok := spec.Type.(*ast.StructType); ok && spec.Name.IsExported() && slices.ContainsFunc(s.Fields.List, func(f *ast.Field) bool {
				return f.Tag != nil && strings.Contains(f.Tag.Value, "json:")
			}) {
				found = append(found, spec.Name.Name)
			}
			return false
		})
	}
	return found
}

// filler makes values of any model, all of whose fields may be set.
type filler struct {
	*rand.Rand
	texts []string
}

// holidays are those of every policy that has some.
var holidays = func() *schedule.Dates {
	d, err := schedule.ParseDates("Europe/Berlin 2026-12-24, 2027-01-01")
	if err != nil {
		panic(err)
	}
	return d
}()

// enums are the numbers of values of the types that are an enumeration.
var enums = map[reflect.Type]int{
	reflect.TypeFor[lifecycle.Status](): 13, reflect.TypeFor[lifecycle.Transition](): 4, reflect.TypeFor[lifecycle.JobStatus](): 7,
	reflect.TypeFor[lifecycle.OwnerStatus](): 3, reflect.TypeFor[lifecycle.Topic](): 3, reflect.TypeFor[lifecycle.Rule](): 8,
	reflect.TypeFor[schedule.Days](): 128, reflect.TypeFor[lifecycle.HoldRules](): 15,
	reflect.TypeFor[lifecycle.ListOrder](): 3, reflect.TypeFor[prewarm.IfEmpty](): 3,
}

// value makes one of a type; a zero value is as likely as all others.
func (f filler) value(t reflect.Type) reflect.Value {
	v := reflect.New(t).Elem()
	if f.IntN(2) == 0 {
		return v
	}
	if n, ok := enums[t]; ok {
		v.SetUint(uint64(f.IntN(n)))
		return v
	}
	switch t {
	case reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(time.UnixMicro(f.Int64N(253402300799e6)).UTC()))
		return v
	case reflect.TypeFor[uuid.UUID]():
		id, _ := uuid.NewRandomFromReader(reader{f.Rand})
		v.Set(reflect.ValueOf(id))
		return v
	case reflect.TypeFor[*lifecycle.Superseded]():
		return v // a policy that Validate refuses is kept there as a text that cannot be read
	case reflect.TypeFor[*schedule.Dates]():
		v.Set(reflect.ValueOf(holidays))
		return v
	}
	f.fill(v)
	return v
}

func (f filler) fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if field := v.Type().Field(i); field.IsExported() && field.Tag.Get("json") != "-" {
				v.Field(i).Set(f.value(v.Field(i).Type()))
			}
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		v.Elem().Set(f.value(v.Type().Elem()))
	case reflect.Slice:
		for range 1 + f.IntN(3) {
			v.Set(reflect.Append(v, f.value(v.Type().Elem())))
		}
	case reflect.Array:
		for i := range v.Len() {
			v.Index(i).Set(f.value(v.Type().Elem()))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range 1 + f.IntN(3) {
			v.SetMapIndex(f.value(v.Type().Key()), f.value(v.Type().Elem()))
		}
	case reflect.String:
		v.SetString(f.texts[f.IntN(len(f.texts))])
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64, reflect.Int16:
		v.SetInt(int64(f.Uint64()) >> (64 - v.Type().Bits()))
	case reflect.Float64:
		v.SetFloat(float64(f.Int64N(1e9)) / 8)
	case reflect.Uint32:
		v.SetUint(uint64(f.Uint32()))
	case reflect.Uint8:
		v.SetUint(uint64(f.IntN(256)))
	default:
		panic("a model has a " + v.Kind().String())
	}
}

type reader struct{ *rand.Rand }

func (r reader) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(r.Uint32())
	}
	return len(p), nil
}

// What is written is read back as it was, whatever is in it.
func FuzzModelsThroughJSON(f *testing.F) {
	for seed := range uint64(40) {
		f.Add(seed, "ann", "a \"quoted\" <text>")
	}
	f.Fuzz(func(t *testing.T, seed uint64, one, two string) {
		fill := filler{rand.New(rand.NewPCG(seed, 1)), []string{strings.ToValidUTF8(one, ""), strings.ToValidUTF8(two, "")}}
		for _, m := range models {
			v := reflect.New(reflect.TypeOf(m)).Elem()
			fill.fill(v)
			text, err := json.Marshal(v.Interface())
			if err != nil {
				t.Fatalf("write %#v: %v", v, err)
			}
			back := reflect.New(v.Type())
			if err := json.Unmarshal(text, back.Interface()); err != nil {
				t.Fatalf("read %s as %T: %v", text, m, err)
			}
			again, err := json.Marshal(back.Interface())
			if err != nil || string(again) != string(text) {
				t.Errorf("%T: written %s, read and written again %s (%v)", m, text, again, err)
			}
			if !equal(back.Elem(), v) {
				t.Errorf("%T through %s, at %s:\n%#v\n%#v", m, text, firstDifference("", v, back.Elem()), v, back.Elem())
			}
		}
	})
}

// equal compares dates by what they say; everything else must be the same.
func equal(a, b reflect.Value) bool {
	if p, ok := a.Addr().Interface().(*dormouse.Policy); ok {
		q := b.Addr().Interface().(*dormouse.Policy)
		x, y := *p, *q
		same := x.Holidays.String() == y.Holidays.String()
		x.Holidays, y.Holidays = nil, nil
		return same && x == y
	}
	if a.Kind() == reflect.Pointer && !a.IsNil() && !b.IsNil() {
		return equal(a.Elem(), b.Elem())
	}
	if a.Kind() != reflect.Struct || a.Type() == reflect.TypeFor[time.Time]() {
		return reflect.DeepEqual(a.Interface(), b.Interface())
	}
	for i := range a.NumField() {
		if a.Type().Field(i).IsExported() && !equal(a.Field(i), b.Field(i)) {
			return false
		}
	}
	return true
}

// Whatever a client sends is read or refused, and what is read is written so that it is read the same.
func FuzzJSONOfClients(f *testing.F) {
	for _, text := range []string{
		`{}`, `null`, `[]`, `{"ttl":"8h"}`, `{"ttl":8}`, `{"ttl":"eight"}`, `{"ttl":null}`, `{"id":"x"}`, `{"name":"\u0000"}`,
		`{"status":"running"}`, `{"status":7}`, `{"policy":{"default_ttl":"8h"}}`, `{"policy":{"holidays":"never"}}`, `{"ttl":"1e99h"}`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, m := range models {
			first := reflect.New(reflect.TypeOf(m))
			if json.Unmarshal([]byte(text), first.Interface()) != nil {
				continue
			}
			written, err := json.Marshal(first.Interface())
			if err != nil {
				continue // such as the year 10000, which JSON does not have
			}
			second := reflect.New(reflect.TypeOf(m))
			if err := json.Unmarshal(written, second.Interface()); err != nil {
				t.Fatalf("%T: %s is read, but its %s is not: %v", m, text, written, err)
			}
			if again, err := json.Marshal(second.Interface()); err != nil || string(again) != string(written) {
				t.Errorf("%T: %s, then %s (%v)", m, written, again, err)
			}
		}
	})
}

func firstDifference(path string, a, b reflect.Value) string {
	if a.Kind() == reflect.Pointer && !a.IsNil() && !b.IsNil() {
		return firstDifference(path, a.Elem(), b.Elem())
	}
	if a.Kind() == reflect.Struct && a.Type() != reflect.TypeFor[time.Time]() && a.Type() != reflect.TypeFor[dormouse.Policy]() {
		for i := range a.NumField() {
			if a.Type().Field(i).IsExported() && !equal(a.Field(i), b.Field(i)) {
				return firstDifference(path+"."+a.Type().Field(i).Name, a.Field(i), b.Field(i))
			}
		}
	}
	return path
}
