package form_test

import (
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
	for text, want := range map[string]string{"": "", "plain \u2713": "plain \u2713", "a\x00b": "a\uFFFDb", "\xff\xfe": "\uFFFD", "\x00\xff": "\uFFFD\uFFFD"} {
		if got := form.Text(text); got != want {
			t.Errorf("%q is kept as %q, want %q", text, got, want)
		}
	}
}
