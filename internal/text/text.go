// Package text makes what others have written safe to store and to show. It has one rule for all of it, so that every store keeps
// the same and every reader may print it: valid UTF-8, no control characters but tab, nothing that hides or turns text around,
// and a bound in bytes that holds after the cleaning.
//
// Who puts a text into a sentence quotes it there. What such a sentence counts is written by [Count], [Number] and [Times].
package text

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// cutMark ends a text that was cut.
const cutMark = "..."

// Clean returns a text without what must not be in it (see [Plain]), at most limit bytes long, cut between two characters. Cleaning
// again changes nothing. The limit must be at least 3.
func Clean(s string, limit int) string {
	if len(s) > 4*limit+utf8.UTFMax { // what comes so far behind is not worth the time of cleaning megabytes
		s = s[:4*limit+utf8.UTFMax]
	}
	s = Plain(s)
	if len(s) <= limit {
		return s
	}
	cut := limit - len(cutMark)
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + cutMark
}

// Plain returns a text without what must not be in it. Line breaks become blanks, other control characters and hidden ones U+FFFD,
// and so does what is not UTF-8.
func Plain(s string) string {
	if ascii(s) {
		return s
	}
	return strings.Map(clean, strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\r\n", "\n"))
}

// ascii reports whether a text is as plain as most are.
func ascii(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

func clean(r rune) rune {
	switch {
	case r == '\t':
		return r
	case r == '\n' || r == '\r' || r == '\u2028' || r == '\u2029':
		return ' '
	case unicode.IsControl(r) || Hidden(r):
		return '\uFFFD'
	}
	return r
}

// Hidden reports whether a character does not show, or changes the direction of those around it: format characters such as
// U+202E and U+200B, and fillers such as U+3164. What scripts and emoji need is not hidden: joiners and variation selectors.
func Hidden(r rune) bool {
	return unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point) && r != '\u200c' && r != '\u200d' && r != '\u00ad'
}

// Clear reports whether a text is stored and shown as it is, on one line: UTF-8 without control and hidden characters.
func Clear(s string) bool {
	return ascii(s) || utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r == '\t' || clean(r) != r })
}

// Name reports whether a text may be a name: 1 to limit bytes, and [Clear].
func Name(s string, limit int) bool { return s != "" && len(s) <= limit && Clear(s) }

// Quoted is a stored text as it may stand within a sentence: as it is if it cannot be mistaken for the sentence, and quoted
// otherwise, with all that a terminal would act on or not show written out.
func Quoted(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:@", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return strconv.Quote(s)
}
