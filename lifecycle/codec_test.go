package lifecycle_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
)

func TestPolicyAsJSON(t *testing.T) {
	for _, c := range []struct {
		name   string
		policy lifecycle.Policy
		want   string
	}{
		{"zero", lifecycle.Policy{}, `{}`},
		{"readable", lifecycle.Policy{
			DefaultTTL: 8 * time.Hour, AutostartDays: 0x1f, Requirement: schedule.Requirement{Days: 0x60, Weeks: 2},
			AllowUserTTL: true, Retry: lifecycle.Retry{Max: 3, Initial: 90 * time.Second},
		}, `{"default_ttl":"8h0m0s","autostart_days":"Mon-Fri","requirement_days":"Sat,Sun","requirement_weeks":2,` +
			`"allow_user_ttl":true,"retry_max":3,"retry_initial":"1m30s"}`},
		{
			"holidays",
			lifecycle.Policy{Holidays: schedule.ReadDates("Europe/Berlin 2026-12-24..2026-12-26")},
			`{"holidays":"Europe/Berlin 2026-12-24..2026-12-26"}`,
		},
		{
			"holidays that cannot be read",
			lifecycle.Policy{Jitter: time.Minute, Holidays: schedule.ReadDates("Mars/Olympus 2026-12-24")},
			`{"jitter":"1m0s","holidays":"Mars/Olympus 2026-12-24"}`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := marshal(t, c.policy)
			if text != c.want {
				t.Errorf("written as %s, want %s", text, c.want)
			}
			samePolicy(t, lifecycle.ReadPolicy([]byte(text)), c.policy)
		})
	}
	if text, err := json.Marshal(lifecycle.Policy{AutostartDays: 0x80}); err == nil {
		t.Errorf("a day that does not exist is written as %s", text)
	}
}

// A policy of a later version passes through this one without a loss.
func TestUnknownMembersAreKept(t *testing.T) {
	const later = `{"zeta": {"b": [1, 2.50, null]}, "default_ttl": "1h0m0s", "Default_TTL": 1, "alpha": 12345678901234567890}`
	p := lifecycle.ReadPolicy([]byte(later))
	p.DefaultTTL = 2 * time.Hour
	const want = `{"default_ttl":"2h0m0s","Default_TTL":1,"alpha":12345678901234567890,"zeta":{"b":[1,2.50,null]}}`
	if text := marshal(t, p); text != want {
		t.Errorf("written back as %s, want %s", text, want)
	}
	var again lifecycle.Policy
	if err := json.Unmarshal([]byte(want), &again); err != nil || again != p {
		t.Errorf("read again as %+v, error %v, want what was written: policies are compared with ==", again, err)
	}
	if err := json.Unmarshal([]byte(`{}`), &again); err != nil || again != (lifecycle.Policy{}) {
		t.Errorf("reading replaces a policy: got %+v, error %v", again, err)
	}
}

// Whoever takes policies from people can refuse a rule that is misspelled.
func TestUnknownMembersAreNamed(t *testing.T) {
	for text, want := range map[string][]string{
		`{}`: nil, `{"default_ttl":"1h0m0s"}`: nil, `{"default_tll":"1h0m0s","Failure_TTL":{"a":1}}`: {"Failure_TTL", "default_tll"},
	} {
		var p lifecycle.Policy
		if err := json.Unmarshal([]byte(text), &p); err != nil || !slices.Equal(p.Unknown(), want) {
			t.Errorf("%s: unknown are %q, %v, want %q", text, p.Unknown(), err, want)
		}
	}
}

// A text that is no JSON, such as none at all, is written as JSON that is no policy, so that what holds the policy can be written.
func TestPolicyThatIsNoJSON(t *testing.T) {
	for _, text := range []string{"", "{", "\xff\x00", `{"a":1`} {
		p := lifecycle.ReadPolicy([]byte(text))
		back := marshal(t, p)
		if again := lifecycle.ReadPolicy([]byte(back)); again.Holidays.Err() == nil || marshal(t, again) != back {
			t.Errorf("%q is written as %s, and read again as %+v", text, back, again)
		}
	}
	var s lifecycle.Superseded
	if err := json.Unmarshal([]byte(`{"rules":1}`), &s); err != nil {
		t.Fatal(err)
	}
	if back := marshal(t, s); back != `{"rules":1,"policy":""}` {
		t.Errorf("one without a policy is written as %s", back)
	}
}

func TestPolicyThatCannotBeRead(t *testing.T) {
	for _, text := range []string{`{"default_ttl":"until tea","later":1}`, `{"autostart_days":"Funday"}`, `[]`, `{"retry_max":1.5}`} {
		p := lifecycle.ReadPolicy([]byte(text))
		if p.Holidays.Err() == nil || p.Holidays.String() != text {
			t.Errorf("%s is read as %+v, want holidays that say why they cannot be read", text, p)
		}
		if back := marshal(t, p); back != text {
			t.Errorf("%s is written back as %s", text, back)
		}
		if err := json.Unmarshal([]byte(text), &p); !errors.Is(err, invalid.Err) {
			t.Errorf("Unmarshal of %s: error %v, want invalid input", text, err)
		}
		p.Holidays, p.DefaultTTL = nil, time.Hour
		if back := marshal(t, p); back != `{"default_ttl":"1h0m0s"}` {
			t.Errorf("after its holidays were replaced, %s is written as %s", text, back)
		}
	}
	var p lifecycle.Policy
	if err := json.Unmarshal([]byte(`{"holidays":"Mars/Olympus 2026-12-24"}`), &p); err == nil {
		t.Error("Unmarshal accepts holidays that cannot be read")
	}
	if p := lifecycle.ReadPolicy(nil); p.Holidays.Err() == nil {
		t.Error("an empty text is read as a policy")
	}
}

func marshal(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// samePolicy compares policies, dates by their text.
func samePolicy(t *testing.T, got, want lifecycle.Policy) {
	t.Helper()
	if got.Holidays.String() != want.Holidays.String() || (got.Holidays.Err() == nil) != (want.Holidays.Err() == nil) {
		t.Errorf("holidays %q (%v), want %q (%v)", got.Holidays, got.Holidays.Err(), want.Holidays, want.Holidays.Err())
	}
	got.Holidays, want.Holidays = nil, nil
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// FuzzPolicyFields writes and reads policies of any values.
func FuzzPolicyFields(f *testing.F) {
	f.Add(int64(8*time.Hour), int64(-1), int64(1), uint8(31), uint8(96), 2, true, false, "Europe/Berlin 2026-12-24", 5)
	f.Fuzz(func(t *testing.T, a, b, c int64, days, required uint8, weeks int, on, off bool, holidays string, tries int) {
		if !json.Valid([]byte(`"`+holidays+`"`)) || strings.ContainsRune(holidays, '\ufffd') {
			t.Skip() // no text that JSON keeps as it is
		}
		want := lifecycle.Policy{
			DefaultTTL: time.Duration(a), ActivityBump: time.Duration(b), FailureTTL: time.Duration(c),
			TimeTilDormant: time.Duration(b), TimeTilAutodelete: time.Duration(c), ReminderLead: time.Duration(a),
			AutostartDays:      schedule.Days(days) & schedule.AllDays,
			Requirement:        schedule.Requirement{Days: schedule.Days(required) & schedule.AllDays, Weeks: weeks},
			AllowUserAutostart: on, AllowUserTTL: off, RequireActiveVersion: on, ExtendAtAutostart: off,
			MaxLateness: time.Duration(c), Jitter: time.Duration(a), Holidays: schedule.ReadDates(holidays),
			Retry: lifecycle.Retry{Max: tries, Initial: time.Duration(b), MaxInterval: time.Duration(a)},
		}
		samePolicy(t, unmarshal(t, marshal(t, want)), want)
	})
}

// unmarshal reads a policy without asking whether it can be meant.
func unmarshal(t *testing.T, text string) (p lifecycle.Policy) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &p); err != nil && p.Holidays.Err() == nil && !strings.Contains(text, "holidays") {
		t.Fatal(err)
	}
	return p
}

// FuzzPolicyText reads texts that anybody may have stored. What is read and written back is read as the same again.
func FuzzPolicyText(f *testing.F) {
	for _, text := range []string{`{"default_ttl":"8h0m0s","later":[1]}`, `{"holidays":"Mars/Olympus 2026-12-24"}`, `{"jitter":7}`, `null`, `{`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p := lifecycle.ReadPolicy([]byte(text))
		if !json.Valid([]byte(text)) {
			if p.Holidays.Err() == nil {
				t.Fatal("a text that is no JSON is read without an error")
			}
			return
		}
		written := marshal(t, p)
		again := lifecycle.ReadPolicy([]byte(written))
		if twice := marshal(t, again); twice != written {
			t.Errorf("%q is written as %s and then as %s", text, written, twice)
		}
		if p.Holidays.Err() == nil {
			samePolicy(t, again, p)
		}
	})
}

// Each field of a policy is written and read, also one that is added later.
func TestEveryFieldOfAPolicyIsStored(t *testing.T) {
	var want lifecycle.Policy
	fields := 0
	fill(reflect.ValueOf(&want).Elem(), &fields)
	want.Holidays = schedule.ReadDates("2026-12-24")
	text := marshal(t, want)
	samePolicy(t, unmarshal(t, text), want)
	if members := strings.Count(text, `":`); members != fields+1 {
		t.Errorf("%d members for %d fields: %s", members, fields+1, text)
	}
}

// fill gives each exported field that is no pointer a value of its own.
func fill(v reflect.Value, n *int) {
	for i := range v.NumField() {
		switch f := v.Field(i); {
		case !v.Type().Field(i).IsExported() || f.Kind() == reflect.Pointer:
			continue
		case f.Kind() == reflect.Struct:
			fill(f, n)
			continue
		case f.Type() == reflect.TypeFor[lifecycle.HoldRules]():
			f.SetUint(uint64(lifecycle.HoldStops | lifecycle.HoldDormancy))
		case f.Kind() == reflect.Bool:
			f.SetBool(true)
		case f.CanInt():
			f.SetInt(int64(*n) + 1)
		case f.CanUint():
			f.SetUint(uint64(*n) + 1)
		}
		*n++
	}
}

// A policy is equal to what a store makes of it, and to no policy of which any field differs.
func TestPolicyEqual(t *testing.T) {
	fields := 0
	var full lifecycle.Policy
	fill(reflect.ValueOf(&full).Elem(), &fields)
	full.Holidays = schedule.ReadDates("2026-12-24")
	for _, p := range []lifecycle.Policy{{}, full, {Holidays: schedule.ReadDates("")}} {
		if again := unmarshal(t, marshal(t, p)); !p.Equal(again) || !again.Equal(p) {
			t.Errorf("%+v is not equal to what was written and read, %+v", p, again)
		}
	}
	differ := func(name string, other lifecycle.Policy) {
		if full.Equal(other) || other.Equal(full) {
			t.Errorf("policies that differ in %s are equal", name)
		}
	}
	for _, path := range leaves(reflect.TypeFor[lifecycle.Policy](), nil) {
		other := full
		reflect.ValueOf(&other).Elem().FieldByIndex(path).SetZero()
		differ(fmt.Sprint(path), other)
		fields--
	}
	if fields != 0 {
		t.Errorf("%d fields were not tried", fields)
	}
	other := full
	other.Holidays = schedule.ReadDates("2026-12-25")
	differ("Holidays", other)
}

// leaves are the fields that fill fills.
func leaves(t reflect.Type, parent []int) (paths [][]int) {
	for i := range t.NumField() {
		path := append(slices.Clone(parent), i)
		switch f := t.Field(i); {
		case !f.IsExported() || f.Type.Kind() == reflect.Pointer:
		case f.Type.Kind() == reflect.Struct:
			paths = append(paths, leaves(f.Type, path)...)
		default:
			paths = append(paths, path)
		}
	}
	return paths
}

// What a template remembers is bounded, however often its policy changes, and what it forgets gives its terms to what it keeps.
func TestATemplateRemembersFewPolicies(t *testing.T) {
	s := stopped()
	for n := range 9 {
		s = replaced(t, s, monday, func(tm *lifecycle.Template) {
			tm.Policy.TimeTilDormant = time.Duration(n+1) * time.Hour
			tm.Terms = lifecycle.PolicyTerms{At: monday.Add(time.Duration(n) * time.Second), ResetDormant: n == 1, DeleteGrace: time.Duration(n) * time.Hour}
		})
	}
	n, oldest := 0, s.Template.Previous
	for p := s.Template.Previous; p != nil; p = p.Previous {
		n, oldest = n+1, p
	}
	if n != 4 || !oldest.Terms.ResetDormant || oldest.Policy.TimeTilDormant != 5*time.Hour {
		t.Errorf("%d are remembered, the oldest is %+v", n, oldest)
	}
	text, err := s.Template.MarshalState()
	must(err)
	var again lifecycle.Template
	again.ReadState(text)
	twice, err := again.MarshalState()
	must(err)
	if string(text) != string(twice) || again.Previous.Previous.Previous.Previous.Terms != oldest.Terms {
		t.Errorf("written as %s and then as %s", text, twice)
	}
	again.ReadState([]byte(`{"previous":{"rules":3,"policy":{"jitter":7}}}`))
	if p := again.Previous; p == nil || p.Rules != 3 || p.Policy.Holidays.Err() == nil || !again.Hold.Until.IsZero() {
		t.Errorf("a superseded policy that cannot be read spoils the rest: %+v, %+v", p, again.Hold)
	}
}

// With stored state that cannot be used nothing happens, and Explain says why: what it held may be all that keeps a workspace.
func TestStateThatCannotBeRead(t *testing.T) {
	due := stopped(asleep(monday.Add(-day)), policy(func(p *lifecycle.Policy) { p.TimeTilAutodelete = day }))
	for _, text := range []string{
		`{"hold":{"rules":"naps"}}`, `{"hold":{"until":"tomorrow"}}`, `{"hold":{"note":"` + strings.Repeat("x", 900) + `"}}`, `[]`, `{`,
	} {
		ofTemplate, ofEngine := due, due
		ofTemplate.Template.ReadState([]byte(text))
		ofEngine.Engine = lifecycle.ReadEngine([]byte(text))
		for name, s := range map[string]lifecycle.Snapshot{"template": ofTemplate, "engine": ofEngine} {
			expect(t, s, monday.Add(4000*day), "nothing")
			if x := lifecycle.Explain(s, monday).String(); !strings.Contains(x, "stored state cannot be used") {
				t.Errorf("%s, %s: explained %s", name, text, x)
			}
		}
	}
	// A set of rules that nobody knows holds all of them.
	due.Workspace.Hold = lifecycle.Hold{Until: monday.Add(9 * day), Rules: 16}
	expect(t, due, monday, "nothing")
	if err := lifecycle.Decide(due, monday).Err; err == nil || !strings.Contains(err.Error(), "Hold.Rules") {
		t.Errorf("error %v", err)
	}
	if x := lifecycle.Explain(due, monday); !strings.Contains(x.String(), "Hold.Rules") {
		t.Errorf("explained %v", x)
	}
}
