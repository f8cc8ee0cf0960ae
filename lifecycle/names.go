package lifecycle

import (
	"fmt"
	"strings"

	"github.com/dormouse-go/dormouse/invalid"
)

// names are the texts of an enumeration, indexed by value.
type names[E ~uint8] []string

func (n names[E]) name(e E) string {
	if int(e) < len(n) {
		return n[e]
	}
	return fmt.Sprintf("unknown(%d)", uint8(e))
}

func (n names[E]) marshal(field string, e E) ([]byte, error) {
	if int(e) >= len(n) {
		return nil, invalid.New(field, uint8(e), "must be one of %s", strings.Join(n, ", "))
	}
	return []byte(n[e]), nil
}

func (n names[E]) unmarshal(field string, e *E, text []byte) error {
	for i, s := range n {
		if s == string(text) {
			*e = E(i)
			return nil
		}
	}
	return invalid.New(field, string(text), "must be one of %s", strings.Join(n, ", "))
}
