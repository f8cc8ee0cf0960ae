package schedule

import "fmt"

// InputError reports an input that a rule of this package refuses. Hosts show it
// to the person who sent the input: it names the field, the value and the rule.
type InputError struct {
	Field string // what was given, such as "schedule" or "ttl"
	Value string // as it was given, shortened when very long
	Rule  string // what it has to be
}

// Error implements error.
func (e *InputError) Error() string {
	return fmt.Sprintf("%s %q: %s", e.Field, e.Value, e.Rule)
}

// maxShown bounds how much of a refused value an error repeats.
const maxShown = 80

func refuse(field, value, rule string, args ...any) *InputError {
	if len(value) > maxShown {
		value = value[:maxShown] + "..."
	}
	return &InputError{Field: field, Value: value, Rule: fmt.Sprintf(rule, args...)}
}
