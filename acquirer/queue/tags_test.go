package queue_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/invalid"
)

func set(t *testing.T, tags map[string]string) queue.TagSet {
	t.Helper()
	s, err := queue.NewTagSet(tags)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTagRule(t *testing.T) {
	t.Parallel()
	type tags = map[string]string
	for name, test := range map[string]struct {
		worker, job tags
		distance    int
	}{
		"both untagged":              {nil, nil, 0},
		"untagged written out":       {tags{"scope": "organization", "owner": ""}, nil, 0},
		"same tags":                  {tags{"a": "1"}, tags{"a": "1"}, 0},
		"worker has more":            {tags{"a": "1", "b": "2"}, tags{"b": "2"}, 0},
		"worker lacks one":           {tags{"a": "1"}, tags{"a": "1", "b": "2"}, 1},
		"other value":                {tags{"a": "1"}, tags{"a": "2"}, 1},
		"untagged worker":            {nil, tags{"a": "1", "b": "2"}, 2},
		"untagged job, tagged":       {tags{"a": "1"}, nil, 1},
		"untagged job, user's":       {tags{"scope": "user", "owner": "me"}, nil, 1},
		"user's own":                 {tags{"scope": "user", "owner": "me"}, tags{"scope": "user", "owner": "me"}, 0},
		"user's own, more tags":      {tags{"scope": "user", "owner": "me", "a": "1"}, tags{"scope": "user", "owner": "me"}, 0},
		"another user's":             {tags{"scope": "user", "owner": "you"}, tags{"scope": "user", "owner": "me"}, 1},
		"user's job, public worker":  {nil, tags{"scope": "user", "owner": "me"}, 2},
		"public job, user's worker":  {tags{"scope": "user", "owner": "me", "a": "1"}, tags{"a": "1"}, 2},
		"key that looks like a pair": {tags{"a": "1:b"}, tags{"a1": ":b"}, 1},
	} {
		got := queue.Compare(set(t, test.worker), set(t, test.job))
		if got.Distance() != test.distance || got.None() != (test.distance == 0) || (got.String() == "") != got.None() {
			t.Errorf("%s: distance %d, %q; want %d", name, got.Distance(), got, test.distance)
		}
	}
}

func TestTagSetRefusals(t *testing.T) {
	t.Parallel()
	many := make(map[string]string)
	for i := range queue.MaxTags + 1 {
		many[strings.Repeat("k", i+1)] = ""
	}
	for name, tags := range map[string]map[string]string{
		"too many":        many,
		"empty key":       {"": "x"},
		"long key":        {strings.Repeat("k", queue.MaxTagKey+1): ""},
		"long value":      {"k": strings.Repeat("v", queue.MaxTagValue+1)},
		"too much":        {"a": strings.Repeat("v", 512), "b": strings.Repeat("v", 512), "c": strings.Repeat("v", 512), "d": strings.Repeat("v", 512)},
		"zero byte":       {"k": "a\x00b"},
		"line break":      {"k\n": ""},
		"not UTF-8":       {"k": "\xff"},
		"unknown scope":   {"scope": "world"},
		"scope, no owner": {"scope": "user"},
		"owner, no scope": {"owner": "me"},
	} {
		_, err := queue.NewTagSet(tags)
		var field *invalid.Error
		if !errors.As(err, &field) || !strings.HasPrefix(field.Field, "tags") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestCompareDoesNotAllocate(t *testing.T) {
	worker := set(t, map[string]string{"a": "1", "b": "2", "c": "3", "d": "4"})
	job := set(t, map[string]string{"b": "2", "d": "4"})
	if n := testing.AllocsPerRun(100, func() { queue.Compare(worker, job) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// The rule in the plainest words, as an oracle.
func fits(worker, job map[string]string) bool {
	full := func(tags map[string]string) map[string]string {
		all := map[string]string{"scope": "organization", "owner": ""}
		maps.Copy(all, tags)
		return all
	}
	w, j := full(worker), full(job)
	if maps.Equal(j, full(nil)) {
		return maps.Equal(w, j)
	}
	for key, value := range j {
		if got, ok := w[key]; !ok || got != value {
			return false
		}
	}
	return true
}

func FuzzTags(f *testing.F) {
	f.Add("a", "1", "b", "2", "a", "1", "b", "2")
	f.Add("scope", "user", "owner", "me", "scope", "user", "owner", "you")
	f.Add("a", "1:b", "c", "", "a", "", "1:b", "c")
	f.Add("1:a", "1:b", "2:", ";", "1:a1", ":b", "2:", ";")
	f.Fuzz(func(t *testing.T, k1, v1, k2, v2, k3, v3, k4, v4 string) {
		x, y := map[string]string{k1: v1, k2: v2}, map[string]string{k3: v3, k4: v4}
		a, errA := queue.NewTagSet(x)
		b, errB := queue.NewTagSet(y)
		if errA != nil || errB != nil {
			return
		}
		if same := maps.Equal(a.Map(), b.Map()); same != (a == b) || same != (a.String() == b.String()) {
			t.Fatalf("%v and %v: equal as maps %v, as sets %v", x, y, same, a == b)
		}
		back, err := queue.ParseTagSet(a.String())
		if err != nil || back != a {
			t.Fatalf("%v does not come back from %q: %v", x, a, err)
		}
		if got, want := queue.Compare(a, b).None(), fits(x, y); got != want {
			t.Fatalf("worker %v, job %v: %v, want %v", x, y, got, want)
		}
	})
}

func FuzzParseTagSet(f *testing.F) {
	f.Add("1:a1:b")
	f.Add("01:a1:b")
	f.Add("1:b1:x1:a1:y")
	f.Add("9999999999999999999:a")
	f.Add("-1:a")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := queue.ParseTagSet(text)
		if err == nil && s.String() != text {
			t.Fatalf("%q was taken for %q", text, s)
		}
		if err == nil {
			if _, err := queue.NewTagSet(s.Map()); err != nil {
				t.Fatalf("%q holds what may not be stored: %v", text, err)
			}
		}
	})
}

func FuzzDomainKey(f *testing.F) {
	f.Add("a", "b", "k", "v", "ab", "", "k", "v", false)
	f.Add("1", ";", "k", "v", "1;", "", "k", "v", false)
	f.Add("a", "b", "k", "v", "b", "a", "k", "v", true)
	f.Fuzz(func(t *testing.T, t1, t2, k1, v1, t3, t4, k2, v2 string, sameOrg bool) {
		org := uuid.UUID{1}
		other := org
		if !sameOrg {
			other = uuid.UUID{2}
		}
		a, errA := queue.NewDomain(org, []string{t1, t2}, map[string]string{k1: v1})
		b, errB := queue.NewDomain(other, []string{t3, t4}, map[string]string{k2: v2})
		swapped, errC := queue.NewDomain(org, []string{t2, t1, t2}, map[string]string{k1: v1})
		if errA != nil || errB != nil || errC != nil {
			return
		}
		same := a.Organization == b.Organization && slices.Equal(a.Types, b.Types) && a.Tags == b.Tags
		if same != (a.Key() == b.Key()) {
			t.Fatalf("%+v and %+v: same %v, keys %q and %q", a, b, same, a.Key(), b.Key())
		}
		if swapped.Key() != a.Key() {
			t.Fatalf("order and repetition of types change the key: %q and %q", a.Key(), swapped.Key())
		}
	})
}
