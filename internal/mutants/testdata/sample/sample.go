// Package sample is what the tests of the runner mutate.
package sample

import (
	"errors"
	"time"
)

var errBad = errors.New("bad")

const query = `SELECT id FROM rows WHERE at <= 5 AND NOT gone`

// Query is held by nothing but its length.
func Query() string { return query }

// Grade is tested at its boundary.
func Grade(points int) (string, error) {
	if points < 0 || points > 100 {
		return "", errBad
	}
	if points >= 50 {
		return "pass", nil
	}
	return "fail", nil
}

// Late is tested far from its boundary only.
func Late(due, now time.Time) bool { return due.Before(now) }

// Loop hangs if its step is left out.
func Loop(n int) (sum int) {
	for n > 0 {
		sum += n
		n--
	}
	return sum
}

// Forgotten has no test.
func Forgotten(a, b int) int { return max(a, b) }

// Kind is a text of a type of its own.
type Kind string

const plain = "plain"

// Plain compares it with a constant that has none.
func (k Kind) Plain() bool { return k == plain }
