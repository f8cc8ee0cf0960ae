// Package invalid is how every package of this module refuses bad input: one error type that names the field, the value
// and the rule, and one sentinel that all of them match.
//
// A host shows the error to whoever sent the input, and maps it to one answer (status 422, say) with
// errors.Is(err, invalid.Err). The package refuses nothing itself.
package invalid

import (
	"errors"
	"fmt"
)

// Err is matched by every refusal of bad input: errors.Is(err, invalid.Err).
var Err = errors.New("invalid input")

// Error is input that breaks a rule. Two of them are told apart by Field.
type Error struct {
	// Field is the input, named as in Go: "Policy.FailureTTL", "Config.Interval"; arguments in lower case: "deadline".
	Field string
	// Value is what was given; texts are cut after 80 bytes.
	Value any
	// Rule is what it has to be.
	Rule string
}

// maxShown bounds how much of a refused text an error repeats: errors end in logs.
const maxShown = 80

// New returns an error about a field. The rule may be a format for args.
func New(field string, value any, rule string, args ...any) *Error {
	if s, ok := value.(string); ok && len(s) > maxShown {
		value = s[:maxShown] + "..."
	}
	if len(args) > 0 {
		rule = fmt.Sprintf(rule, args...)
	}
	return &Error{Field: field, Value: value, Rule: rule}
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
