// Package words writes counts for people. The library has the same for its own texts in a package that is not for its users, and an example
// imports what users can.
package words

import "strconv"

// Number writes a number with its thousands apart: "12,345".
func Number(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Count writes a number and what is counted, which may be more than a noun: "1 job waits", "12 jobs wait".
func Count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return Number(n) + " " + many
}
