package form_test

import (
	"strings"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/store"
	"github.com/dormouse-go/dormouse/store/form"
)

// An instant as a number is the instant that stores with a type for it keep.
func TestMicrosIsInstant(t *testing.T) {
	for _, at := range []time.Time{
		{},
		time.Unix(0, 0), time.Unix(0, 1), time.Unix(-1, 999_999_999), time.Date(1, 1, 1, 0, 0, 1, 1500, time.UTC),
		time.Date(2026, 3, 2, 8, 0, 0, 123_456_789, time.FixedZone("CET", 3600)), time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC),
	} {
		us, ok := form.Micros(at)
		if ok == at.IsZero() {
			t.Errorf("%v: ok is %v", at, ok)
		}
		if want := store.Instant(at); ok && form.FromMicros(us) != want {
			t.Errorf("%v as a number is %v, want %v", at, form.FromMicros(us), want)
		}
	}
}

func TestText(t *testing.T) {
	for text, want := range map[string]string{"": "", "plain \u2713": "plain \u2713", "a\x00b": "a\uFFFDb", "\x1b[2J\r\n\u200b": "\uFFFD[2J \uFFFD", "\xff\xfe": "\uFFFD", "\x00\xff": "\uFFFD\uFFFD"} {
		if got := form.Text(text); got != want {
			t.Errorf("%q is kept as %q, want %q", text, got, want)
		}
	}
}

// What begins with a prefix lies between the prefix and its end, and nothing else does.
func FuzzPrefixEnd(f *testing.F) {
	for _, prefix := range []string{"a", "é", "\u007f", "\uD7FF", "a\U0010FFFF", "\U0010FFFF\U0010FFFF", ""} {
		f.Add(prefix, "\U0010FFFFz", "b")
	}
	f.Fuzz(func(t *testing.T, prefix, rest, other string) {
		prefix, rest, other = form.Text(prefix), form.Text(rest), form.Text(other)
		end := form.PrefixEnd(prefix)
		if form.Text(end) != end {
			t.Fatalf("the end of %q is %q, which cannot be stored", prefix, end)
		}
		within := func(s string) bool { return s >= prefix && (end == "" || s < end) }
		if !within(prefix + rest) {
			t.Errorf("%q is not between %q and %q", prefix+rest, prefix, end)
		}
		if within(other) != strings.HasPrefix(other, prefix) {
			t.Errorf("%q between %q and %q: %v", other, prefix, end, within(other))
		}
	})
}

// What does not say when it was written has no age, whatever else it says.
func TestEventAt(t *testing.T) {
	at := time.Date(2026, 3, 2, 8, 0, 0, 123000, time.UTC)
	for body, want := range map[string]time.Time{
		`{"at":"2026-03-02T08:00:00.000123Z"}`:                              at,
		`{"topic":"of a later version","at":"2026-03-02T08:00:00.000123Z"}`: at,
		`{"at":"0001-01-01T00:00:00Z"}`:                                     {},
	} {
		if got, known := form.EventAt([]byte(body)); !known || !got.Equal(want) {
			t.Errorf("%s: %v, known %t", body, got, known)
		}
	}
	for _, body := range []string{``, `null`, `7`, `{}`, `{"at":null}`, `{"at":"a day of spring"}`, `{"at":7}`, `{"at":"2026-03-02T08:00:00Z"`} {
		if got, known := form.EventAt([]byte(body)); known {
			t.Errorf("%s: %v", body, got)
		}
	}
}
