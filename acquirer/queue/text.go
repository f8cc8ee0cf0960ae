package queue

import (
	"strconv"
	"strings"
)

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
