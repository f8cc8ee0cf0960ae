package text_test

import (
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/dormouse-go/dormouse/internal/text"
)

func FuzzClean(f *testing.F) {
	f.Add("plain", 8)
	f.Add("\x1b[2J\x1b]0;title\a", 100)
	f.Add(strings.Repeat("\xff", 16<<10), 16<<10)
	f.Add("no space.\x1b[8m\r\nIt succeeded\u2028at\u202e", 30)
	f.Add(strings.Repeat("\x00", 100)+"end", 10)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		limit = 3 + limit&0xffff
		got := text.Clean(s, limit)
		switch {
		case len(got) > limit:
			t.Fatalf("%d bytes, limit %d", len(got), limit)
		case !utf8.ValidString(got):
			t.Fatalf("not UTF-8: %q", got)
		case strings.ContainsFunc(got, func(r rune) bool { return r != '\t' && unicode.IsControl(r) || text.Hidden(r) }):
			t.Fatalf("still in it: %q", got)
		case text.Clean(got, limit) != got:
			t.Fatalf("cleaned again: %q, then %q", got, text.Clean(got, limit))
		}
		if plain := strings.ToValidUTF8(s, "x"); plain == s && len(s) <= limit && !strings.ContainsFunc(s, func(r rune) bool {
			return unicode.IsControl(r) || text.Hidden(r) || r == '\u2028' || r == '\u2029'
		}) && got != s {
			t.Fatalf("a clean text was changed: %q, then %q", s, got)
		}
	})
}

// What may be a name is stored and shown as it is.
func FuzzName(f *testing.F) {
	f.Add("plain", 8)
	f.Add("\x1b[2J", 100)
	f.Add("a\u202eb", 100)
	f.Add("a\u2028b", 100)
	f.Add("\u3164\u115f", 100)
	f.Add("葛\U000e0100 \u200d", 100)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		if text.Name(s, limit) != (text.Clear(s) && s != "" && len(s) <= limit) {
			t.Fatalf("%q may be a name of %d bytes: %v", s, limit, text.Name(s, limit))
		}
		if got, want := text.Clear(s), text.Plain(s) == s && !strings.Contains(s, "\t"); got != want {
			t.Fatalf("%q is clear: %v, but is stored as %q", s, got, text.Plain(s))
		}
	})
}

// A quoted text has no character that a terminal acts on or does not show, and cannot end the quotes or pass for the sentence.
func FuzzQuoted(f *testing.F) {
	f.Add("plain-1.2")
	f.Add("")
	f.Add("x\". It succeeded. \"")
	f.Add("no space.\x1b[8m\nIt succeeded\u202e\u3164")
	f.Fuzz(func(t *testing.T, s string) {
		got := text.Quoted(s)
		if got == s {
			if strings.ContainsAny(s, " \",;()'") || s == "" {
				t.Fatalf("%q stands in a sentence as it is", s)
			}
			return
		}
		back, err := strconv.Unquote(got)
		if err != nil || got[0] != '"' || strings.ToValidUTF8(back, "\uFFFD") != strings.ToValidUTF8(s, "\uFFFD") {
			t.Fatalf("%q became %s: %v", s, got, err)
		}
		if strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Fatalf("%q shows something else than it holds: %s", s, got)
		}
	})
}
