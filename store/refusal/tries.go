package refusal

import "fmt"

// Tries are rows of a line that were refused to those who ask for any row of it, one after the other: the next in line was tried then. Whether
// it is the row that is to blame, or who asked, shows in the end. The zero value has none. It is not safe for concurrent use.
type Tries[K any] struct{ list []try[K] }

// try is a row that was refused to the asker with a number.
type try[K any] struct {
	row   K
	asker int
	why   error
}

// Add notes that a row was refused to an asker, who are numbered from 0.
func (t *Tries[K]) Add(row K, asker int, why error) { t.list = append(t.list, try[K]{row, asker, why}) }

// Len is how many were refused.
func (t *Tries[K]) Len() int { return len(t.list) }

// Full reports whether [MaxTried] were: no further one is to be tried.
func (t *Tries[K]) Full() bool { return len(t.list) >= MaxTried }

// Conclude returns the rows that are to blame, whose askers got another one, and all that were refused, for a warning. If nobody got any the
// error is the first refusal, of a row of that kind: whoever asked may be to blame, so that no row is.
func (t *Tries[K]) Conclude(kind string, got func(asker int) bool, askers int) (blamed []K, refused Tally, err error) {
	served := false
	for i := range askers {
		served = served || got(i)
	}
	for _, one := range t.list {
		if !served {
			return nil, Tally{}, fmt.Errorf("%s %v: %w", kind, one.row, one.why)
		}
		refused.Add(one.row, one.why)
		if got(one.asker) {
			blamed = append(blamed, one.row)
		}
	}
	return blamed, refused, nil
}
