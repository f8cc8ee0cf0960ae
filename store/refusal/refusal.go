// Package refusal is for authors of stores: it remembers rows that the database has refused, as a constraint or a trigger of the host
// has it do, so that not every call tries them again.
package refusal

import (
	"sync"
	"time"

	"github.com/google/uuid"
)

const (
	// PassOverFor is how long a row that was refused is not tried again.
	PassOverFor = time.Minute
	// Max bounds how many rows are remembered, and how many refusals one call of a store should go past: where everything is refused,
	// each call would try the whole line. The next call goes on behind the rows that are remembered.
	Max = 1000
	// MaxTried bounds how many rows are tried where any of a line would do, and what asks for one may be to blame as well.
	MaxTried = 20
)

// Rows are those of a kind that were refused lately, by what identifies them. The zero value has none. It is safe for concurrent use.
type Rows[K comparable] struct {
	mu   sync.Mutex
	rows map[K]row
}

// row says whose one is, and until when it is passed over.
type row struct {
	organization uuid.UUID
	until        time.Time
}

// At returns the rows that are to be passed over at an instant: those of one organization, or of all. It is never nil, because in SQL
// no comparison with NULL is true.
func (s *Rows[K]) At(now time.Time, organization *uuid.UUID) []K {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := []K{}
	for k, r := range s.rows {
		switch {
		case !now.Before(r.until):
			delete(s.rows, k)
		case organization == nil || *organization == r.organization:
			found = append(found, k)
		}
	}
	return found
}

// Add has a row that was refused at an instant passed over for [PassOverFor], unless [Max] are.
func (s *Rows[K]) Add(now time.Time, k K, organization uuid.UUID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rows == nil {
		s.rows = make(map[K]row)
	}
	if len(s.rows) < Max {
		s.rows[k] = row{organization, now.Add(PassOverFor)}
	}
}
