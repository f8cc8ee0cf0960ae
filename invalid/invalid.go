// Package invalid is how every package of this module refuses bad input: one error type that names the field, the value
// and the rule, and one sentinel that all of them match.
//
// A host shows the error to whoever sent the input and maps all of them to one answer, such as HTTP status 422, with
// errors.Is(err, invalid.Err); errors.As with an [*Error] gives it the parts. An error that does not match is not about
// the input. The package checks nothing itself but what holds for all settings, see [Duration] and [Count], and depends on the
// standard library only.
package invalid

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// Err is matched by every refusal of bad input: errors.Is(err, invalid.Err).
var Err = errors.New("invalid input")

// Error is input that breaks a rule.
type Error struct {
	// Field is the input, named as in Go. A field is named with its type: "Policy.FailureTTL", "Config.Interval",
	// "Policy.Requirement.Weeks". An argument has its own name, in lower case: "deadline". A value that is checked by its
	// own type's method has the type's name: "Days".
	Field string
	// Value is what was given. A text is cut after 80 bytes.
	Value any
	// Rule is what it has to be, as a phrase that follows the value: "must be 0 (off) or at least 1m0s".
	Rule string
}

// maxShown limits how much of a refused text an error repeats: errors end up in logs.
const maxShown = 80

// New returns an error about a field. With args, rule is a format for them.
func New(field string, value any, rule string, args ...any) *Error {
	if s, ok := value.(string); ok {
		value = cut(s)
	}
	if len(args) > 0 {
		rule = fmt.Sprintf(rule, args...)
	}
	return &Error{Field: field, Value: value, Rule: rule}
}

// cut shortens a text between two characters.
func cut(s string) string {
	if len(s) <= maxShown {
		return s
	}
	end := maxShown
	for end > maxShown-utf8.UTFMax && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "..."
}

// As gives the refusal in err another field, for a caller that knows the input by another name: the argument "deadline"
// rather than a field of the struct that it is checked in. Any other error, and nil, is returned as it is.
func As(field string, err error) error {
	return rename(err, func(string) string { return field })
}

// Within puts the name of a struct before the field of the refusal in err: "Policy" makes "Policy.Requirement.Weeks" of
// "Requirement.Weeks". Any other error, and nil, is returned as it is.
func Within(parent string, err error) error {
	return rename(err, func(field string) string { return parent + "." + field })
}

func rename(err error, to func(field string) string) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	renamed := *e
	renamed.Field = to(e.Field)
	return &renamed
}

// Error implements error. It quotes texts, so that an empty one and one with line breaks can be read.
func (e *Error) Error() string {
	if s, ok := e.Value.(string); ok {
		return fmt.Sprintf("%s %q: %s", e.Field, s, e.Rule)
	}
	return fmt.Sprintf("%s %v: %s", e.Field, e.Value, e.Rule)
}

// Is makes errors.Is(err, Err) true.
func (e *Error) Is(target error) bool { return target == Err }
