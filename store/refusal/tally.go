package refusal

import (
	"context"
	"fmt"
	"log/slog"
)

// Tally counts rows that something could not be done for, and keeps what was said of the first. The zero value has none. It is not safe
// for concurrent use.
type Tally struct {
	// N is how many there are.
	N     int
	first string
}

// Add counts a row, which is named by its form in fmt.
func (t *Tally) Add(row any, why error) {
	if t.N++; t.N == 1 {
		t.first = fmt.Sprintf("%v: %v", row, why)
	}
}

// Warn says in a log what could not be done, and of which kind of row, if there was any.
func (t Tally) Warn(ctx context.Context, log *slog.Logger, message, kind string) {
	if t.N > 0 {
		log.WarnContext(ctx, message, "what", kind, "rows", t.N, "first", t.first)
	}
}
