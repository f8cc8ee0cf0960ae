package lifecycle_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// decorated is a JSON text with a member in each of its objects that no version knows yet, and how many these are.
func decorated(t *testing.T, text []byte) (later []byte, objects int) {
	t.Helper()
	var v any
	must(json.Unmarshal(text, &v))
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for _, inner := range v {
				walk(inner)
			}
			objects++
			v["later"] = map[string]any{"n": objects}
		case []any:
			for _, inner := range v {
				walk(inner)
			}
		}
	}
	walk(v)
	later, err := json.Marshal(v)
	must(err)
	return later, objects
}

// sameJSON compares texts by what they say.
func sameJSON(t *testing.T, what string, got, want []byte) {
	t.Helper()
	var g, w any
	must(json.Unmarshal(got, &g))
	must(json.Unmarshal(want, &w))
	if !reflect.DeepEqual(g, w) {
		t.Errorf("%s: written as\n%s\nwant\n%s", what, got, want)
	}
}

// fillAll gives every field that is stored a value, also one that is added later.
func fillAll(v reflect.Value, n *int, depth int) {
	switch {
	case v.Type() == reflect.TypeFor[time.Time]():
		*n++
		v.Set(reflect.ValueOf(monday.Add(time.Duration(*n) * time.Hour)))
	case v.Type() == reflect.TypeFor[lifecycle.Policy]():
		fill(v, n)
	case v.Type() == reflect.TypeFor[lifecycle.HoldRules]():
		v.SetUint(uint64(lifecycle.HoldStops))
	case v.Kind() == reflect.Pointer:
		if depth > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fillAll(v.Elem(), n, depth-1)
		}
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fillAll(v.Field(i), n, depth)
			}
		}
	case v.Kind() == reflect.Bool:
		v.SetBool(true)
	case v.Kind() == reflect.String:
		*n++
		v.SetString(fmt.Sprint("text ", *n))
	case v.CanInt():
		*n++
		v.SetInt(int64(*n))
	case v.CanUint():
		*n++
		v.SetUint(uint64(*n % 8))
	}
}

func filledTemplate() (t lifecycle.Template) {
	n := 0
	fillAll(reflect.ValueOf(&t).Elem(), &n, 3)
	return t
}

// What a later version stores in a template, at any depth, this one writes again.
func TestStateOfALaterVersion(t *testing.T) {
	full := filledTemplate()
	text, err := full.MarshalState()
	must(err)
	later, objects := decorated(t, text)
	if objects < 12 { // itself, hold, terms, floors, and of three policies before it the policy, the terms and themselves
		t.Fatalf("%d objects are too few: %s", objects, text)
	}
	var read lifecycle.Template
	read.ReadState(later)
	again, err := read.MarshalState()
	must(err)
	sameJSON(t, "state", again, later)
}

// What belongs to the policy, the terms and the hold goes where they go, and ends with them.
func TestStateOfALaterVersionThatChanges(t *testing.T) {
	old := lifecycle.Template{ID: id(1), Revision: 3, Rules: 7, Policy: lifecycle.ReadPolicy([]byte(`{"default_ttl":"1h0m0s","later":1}`))}
	old.ReadState([]byte(`{"later":2,"hold":{"until":"2026-03-09T00:00:00Z","later":3},"terms":{"stop_grace":3600000000000,"later":4},
		"previous":{"rules":6,"policy":{"later":5},"later":6},"floors":{"stop":"2026-03-03T00:00:00Z","later":7}}`))
	next := old
	next.Policy.DefaultTTL, next.Terms = 2*time.Hour, lifecycle.PolicyTerms{At: monday}
	next, err := lifecycle.ReplaceTemplate(old, next, monday)
	must(err)
	text, err := next.MarshalState()
	must(err)
	sameJSON(t, "another policy", text, []byte(`{"later":2,"hold":{"until":"2026-03-09T00:00:00Z","later":3},"terms":{"at":"2026-03-02T09:00:00Z"},
		"previous":{"rules":7,"policy":{"default_ttl":"1h0m0s","later":1},"terms":{"stop_grace":3600000000000,"later":4},
			"previous":{"rules":6,"policy":{"later":5},"later":6}},
		"floors":{"stop":"2026-03-03T00:00:00Z","later":7}}`))

	held := next
	held.Hold = lifecycle.Hold{Until: monday.Add(9 * day), By: "ann"}
	held, err = lifecycle.ReplaceTemplate(next, held, monday)
	must(err)
	text, err = held.MarshalState()
	must(err)
	var state struct{ Hold map[string]any }
	must(json.Unmarshal(text, &state))
	if _, kept := state.Hold["later"]; kept {
		t.Errorf("another hold has what was of the old one: %s", text)
	}
}

func TestEngineOfALaterVersion(t *testing.T) {
	var full lifecycle.Engine
	n := 0
	fillAll(reflect.ValueOf(&full).Elem(), &n, 1)
	full.Interval = 0 // is not stored
	text, err := full.MarshalState()
	must(err)
	if again := lifecycle.ReadEngine(text); again != full {
		t.Errorf("%s is read as %+v, want %+v", text, again, full)
	}
	later, objects := decorated(t, text)
	if objects < 3 {
		t.Fatalf("%d objects are too few: %s", objects, text)
	}
	read := lifecycle.ReadEngine(later)
	read.Topics, read.SettleUntil = full.Topics, full.SettleUntil
	again, err := read.MarshalState()
	must(err)
	sameJSON(t, "engine", again, later)

	put, err := lifecycle.ReplaceEngine(read, lifecycle.Engine{Hold: read.Hold, DeletionsReleasedUntil: read.DeletionsReleasedUntil}, monday)
	must(err)
	again, err = put.MarshalState()
	must(err)
	sameJSON(t, "engine that was put", again, later)
}

// A hold and terms that a host has changed in place are others: nothing that was not read of the old ones is written for them. Those
// that it has passed on, in a text perhaps, are still the same.
func TestHoldAndTermsOfALaterVersion(t *testing.T) {
	type state struct{ Hold, Terms json.RawMessage }
	const hold, terms = `{"until":"2026-03-09T00:00:00Z","rules":"starts,naps","by":"bob"}`, `{"stop_grace":3600000000000,"later":4}`
	old := lifecycle.Template{ID: id(1), Name: "tools", Revision: 3, Rules: 7}
	old.ReadState([]byte(`{"hold":` + hold + `,"terms":` + terms + `}`))
	put := func(what string, next lifecycle.Template, rules int64, wantHold, wantTerms string) {
		t.Helper()
		next, err := lifecycle.ReplaceTemplate(old, next, monday)
		must(err)
		text, err := next.MarshalState()
		must(err)
		var got state
		must(json.Unmarshal(text, &got))
		sameJSON(t, what+": hold", got.Hold, []byte(wantHold))
		sameJSON(t, what+": terms", got.Terms, []byte(wantTerms))
		if next.Rules != rules {
			t.Errorf("%s: rules %d, want %d", what, next.Rules, rules)
		}
	}
	changed := old
	changed.Hold.Until, changed.Hold.By, changed.Hold.Note = monday.Add(day), "ann", ""
	changed.Terms.StopGrace = 2 * time.Hour
	put("changed in place", changed, 8, `{"until":"2026-03-03T09:00:00Z","by":"ann"}`, `{"stop_grace":7200000000000}`)

	text, err := json.Marshal(old)
	must(err)
	var passed lifecycle.Template
	must(json.Unmarshal(text, &passed))
	put("passed on in a text", passed, 7, hold, terms)

	engine := lifecycle.ReadEngine([]byte(`{"hold":` + hold + `}`))
	next := engine
	next.Hold.Until, next.Hold.By, next.Hold.Note = monday.Add(day), "ann", ""
	next, err = lifecycle.ReplaceEngine(engine, next, monday)
	must(err)
	text, err = next.MarshalState()
	must(err)
	var got state
	must(json.Unmarshal(text, &got))
	sameJSON(t, "the engine's hold, changed in place", got.Hold, []byte(`{"until":"2026-03-03T09:00:00Z","by":"ann"}`))
}

// A state that this version cannot read, with a kind of rule that it does not know perhaps, is not lost when this version
// writes what it can.
func TestStateThatCannotBeReadIsKept(t *testing.T) {
	const hold = `{"until":"2026-03-09T00:00:00Z","rules":"starts,naps","by":"ann"}`
	var tm lifecycle.Template
	tm.ReadState([]byte(`{"hold":` + hold + `,"autostart_after":"2026-03-01T00:00:00Z"}`))
	tm.VersionSince = monday
	text, err := tm.MarshalState()
	must(err)
	sameJSON(t, "template", text, []byte(`{"hold":`+hold+`,"autostart_after":"2026-03-01T00:00:00Z","version_since":"2026-03-02T09:00:00Z"}`))

	e := lifecycle.ReadEngine([]byte(`{"hold":` + hold + `,"topics":2}`))
	e.Topics |= 4
	text, err = e.MarshalState()
	must(err)
	sameJSON(t, "engine", text, []byte(`{"hold":`+hold+`,"topics":6}`))

	const engine, state = `{"settle_until":"tomorrow","topics":2}`, `{"floors":7}`
	text, err = lifecycle.ReadEngine([]byte(engine)).MarshalState()
	must(err)
	sameJSON(t, "engine of which nothing can be read", text, []byte(engine))
	tm.ReadState([]byte(state))
	text, err = tm.MarshalState()
	must(err)
	sameJSON(t, "template of which nothing can be read", text, []byte(state))
}

// What would have to change something that cannot be read is refused, and says what: it would be gone, without a word.
func TestStateThatCannotBeReadIsNotChanged(t *testing.T) {
	var whole, held lifecycle.Template
	whole.ID, whole.Name, whole.Revision = id(1), "tools", 3
	held = whole
	whole.ReadState([]byte(`{"floors":7}`))
	held.ReadState([]byte(`{"hold":{"until":"2026-03-09T00:00:00Z","rules":"naps"}}`))
	refused := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, lifecycle.ErrUnreadable) || !strings.Contains(err.Error(), "stored state cannot be used") {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, change := range map[string]func(*lifecycle.Template){
		"a release":       func(tm *lifecycle.Template) { tm.Hold = lifecycle.Hold{} },
		"another hold":    func(tm *lifecycle.Template) { tm.Hold = lifecycle.Hold{Until: monday} },
		"another note":    func(tm *lifecycle.Template) { tm.Hold.Note = "" },
		"another policy":  func(tm *lifecycle.Template) { tm.Policy.DefaultTTL = time.Hour },
		"other terms":     func(tm *lifecycle.Template) { tm.Terms.At = monday },
		"another version": func(tm *lifecycle.Template) { tm.ActiveVersionID = id(9) },
	} {
		next := whole
		change(&next)
		_, err := lifecycle.ReplaceTemplate(whole, next, monday)
		refused(what, err)
		if err != nil && !strings.Contains(err.Error(), id(1).String()) {
			t.Errorf("%s: which template it was, nobody says: %v", what, err)
		}
		_, err = lifecycle.ReplaceTemplate(held, func() lifecycle.Template { h := held; change(&h); return h }(), monday)
		must(err) // a hold goes where another takes its place
	}
	named := whole
	named.Name = "other"
	named = must1(lifecycle.ReplaceTemplate(whole, named, monday))
	sameJSON(t, "another name", must1(named.MarshalState()), []byte(`{"floors":7}`))

	// The note quotes what cannot be read, and is no longer than a note may be: a host may pass it through.
	long := fmt.Sprintf(`{"hold":{"until":%q}}`, strings.Repeat("x", 2000))
	held.ReadState([]byte(long))
	held.Name = "other"
	renamed := must1(lifecycle.ReplaceTemplate(held, held, monday))
	sameJSON(t, "another name, held", must1(renamed.MarshalState()), []byte(long))

	whole.VersionSince = monday
	_, err := whole.MarshalState()
	refused("a state that a store has changed", err)
	held.Hold.By = "ann"
	_, err = held.MarshalState()
	refused("a hold that a store has changed", err)
}

// Whatever of an engine cannot be read, somebody receives the topics that it names: events that were not written would be lost. Topics
// that cannot be read are none.
func TestTopicsOfAnEngineThatCannotBeRead(t *testing.T) {
	for text, want := range map[string]lifecycle.Topics{
		`{"topics":5,"settle_until":"tomorrow"}`: 5, `{"settle_until":7,"topics":5,"later":{}}`: 5, `{"floors":[],"topics":5}`: 5,
		`{"topics":"all"}`: 0, `{"topics":-1}`: 0, `{"topics":256}`: 0, `7`: 0, `{"topics":5`: 0,
	} {
		e := lifecycle.ReadEngine([]byte(text))
		if e.Topics != want || e.Hold.Until.IsZero() {
			t.Errorf("%s: topics %v, held until %v", text, e.Topics.List(), e.Hold.Until)
		}
		if back, err := e.MarshalState(); err != nil || string(back) != text {
			t.Errorf("%s: written again as %s, %v", text, back, err)
		}
	}
}

func TestEngineThatCannotBeReadIsNotChanged(t *testing.T) {
	const text = `{"settle_until":"tomorrow","topics":2}`
	e := lifecycle.ReadEngine([]byte(text))
	for what, next := range map[string]lifecycle.Engine{
		"a release":              {},
		"a release of the brake": {Hold: e.Hold, DeletionsReleasedUntil: monday},
	} {
		if _, err := lifecycle.ReplaceEngine(e, next, monday); !errors.Is(err, lifecycle.ErrUnreadable) || !strings.Contains(err.Error(), "engine") {
			t.Errorf("%s: %v", what, err)
		}
	}
	same := must1(lifecycle.ReplaceEngine(e, lifecycle.Engine{Hold: e.Hold, Interval: time.Minute}, monday))
	same.Interval = time.Minute // a snapshot's, which is not stored
	if until := same.Settle(monday.Add(-time.Hour), monday, time.Minute, time.Minute); !until.IsZero() {
		t.Errorf("what holds everything settles until %v", until)
	}
	sameJSON(t, "what was read", must1(same.MarshalState()), []byte(text))
	e.Topics |= 4
	if _, err := e.MarshalState(); !errors.Is(err, lifecycle.ErrUnreadable) {
		t.Errorf("another topic: %v", err)
	}
}
