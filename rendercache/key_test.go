package rendercache_test

import (
	"context"
	"fmt"
	"maps"
	"testing"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/rendercache"
)

func TestKeyDoesNotDependOnMapOrder(t *testing.T) {
	want := rendercache.DigestOf(map[string]string{"a": "1", "b": "2", "c": "3", "d": "4", "e": "5"})
	for range 100 { // a map's order is another on each walk
		params := map[string]string{}
		for _, name := range []string{"e", "c", "a", "d", "b"} {
			params[name] = fmt.Sprint(name[0] - 'a' + 1)
		}
		wantEqual(t, "digest", rendercache.DigestOf(params), want)
	}
}

func TestNilAndEmptyParametersAreTheSame(t *testing.T) {
	wantEqual(t, "key", rendercache.KeyOf(version, owner, nil), rendercache.KeyOf(version, owner, map[string]string{}))
}

// The digest is the same in every process and release, so that logs of replicas can be compared.
func TestDigestIsStable(t *testing.T) {
	for want, params := range map[string]map[string]string{
		"af5570f5a1810b7af78caf4bc70a660f0df51e42baf91d4de5b2328de0e83dfc": nil,
		"8cd2b33319d2788543fc677d8faa5f5d3b07fbe10cde592d392e0124c2628b50": {"cpu": "4", "region": "eu"},
	} {
		if got := rendercache.DigestOf(params).String(); got != want {
			t.Errorf("DigestOf(%v) = %s, want %s", params, got, want)
		}
	}
}

// Pairs of maps that one of two separator encodings takes for the same.
func TestKeysDoNotCollide(t *testing.T) {
	for _, pair := range [][2]map[string]string{
		{{"a": "b\x00c\x00d"}, {"a": "b", "c": "d"}},
		{{"a": "1,b:2"}, {"a": "1", "b": "2"}},
		{{"a": ""}, {"": "a"}},
		{{"a": ""}, {}},
		{{"ab": "c"}, {"a": "bc"}},
		{{"a": "b", "c": ""}, {"a": "", "c": "b"}},
		{{"a": "\x00\x00\x00\x00\x00\x00\x00\x01b"}, {"a": "", "b": ""}},
	} {
		if rendercache.DigestOf(pair[0]) == rendercache.DigestOf(pair[1]) {
			t.Errorf("%q and %q have one digest", pair[0], pair[1])
		}
	}
}

func TestKeysOfOtherVersionsAndOwnersDiffer(t *testing.T) {
	params := map[string]string{"a": "1"}
	keys := map[Key]bool{}
	for _, v := range []uuid.UUID{version, owner} {
		for _, o := range []uuid.UUID{version, owner, other} {
			keys[rendercache.KeyOf(v, o, params)] = true
		}
	}
	wantEqual(t, "keys", len(keys), 6)
}

func FuzzKeyOf(f *testing.F) {
	f.Add("a", "b\x00c\x00d", "a", "b\x00c\x00d", "a", "b", "c", "d", false)
	f.Add("a", "1,b:2", "a", "1,b:2", "a", "1", "b", "2", false)
	f.Add("a", "1", "b", "2", "b", "2", "a", "1", false)
	f.Add("", "", "", "", "", "", "", "", true)
	f.Fuzz(func(t *testing.T, n1, v1, n2, v2, n3, v3, n4, v4 string, otherOwner bool) {
		a, b := map[string]string{n1: v1}, map[string]string{n4: v4}
		a[n2], b[n3] = v2, v3
		who := owner
		if otherOwner {
			who = other
		}
		same := maps.Equal(a, b) && !otherOwner
		if got := rendercache.KeyOf(version, owner, a) == rendercache.KeyOf(version, who, b); got != same {
			t.Errorf("keys of %q and %q are equal: %v, want %v", a, b, got, same)
		}
		// The scratch space of one digest must not show in the next.
		wantEqual(t, "again", rendercache.DigestOf(a), rendercache.DigestOf(maps.Clone(a)))
	})
}

func TestHitDoesNotAllocate(t *testing.T) {
	c := newCache(t, Config{})
	params := map[string]string{}
	for i := range 10 {
		params[fmt.Sprintf("parameter_%d", i)] = "value"
	}
	key := rendercache.KeyOf(version, owner, params)
	c.Put(key, "v")
	calls := 0
	render := returns("v", &calls)
	ctx := context.Background()
	for what, hit := range map[string]func(){
		"Get":            func() { c.Get(key) },
		"Render":         func() { _, _ = c.Render(ctx, key, render) },
		"Do":             func() { _, _ = c.Do(ctx, rendercache.Request[Key, string]{Key: key, Render: render, Params: params}) },
		"KeyOf":          func() { rendercache.KeyOf(version, owner, params) },
		"KeyOf + Render": func() { _, _ = c.Render(ctx, rendercache.KeyOf(version, owner, params), render) },
	} {
		if n := testing.AllocsPerRun(200, hit); n > 0 && !raceEnabled {
			t.Errorf("%s allocates %v times", what, n)
		}
	}
	wantEqual(t, "renders", calls, 0)
}
