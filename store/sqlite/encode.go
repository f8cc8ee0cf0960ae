package sqlite

import (
	"fmt"
	"slices"
	"time"

	"github.com/dormouse-go/dormouse/store/form"

	"github.com/google/uuid"
)

// micros is an instant as it is stored: [form.Micros], nil for the zero time.
func micros(t time.Time) any {
	if us, ok := form.Micros(t); ok {
		return us
	}
	return nil
}

// instant decodes a stored instant when it is read into a time.Time by Scan.
type instant time.Time

// Scan implements sql.Scanner.
func (i *instant) Scan(stored any) error {
	switch us := stored.(type) {
	case nil:
		*i = instant{}
	case int64:
		*i = instant(form.FromMicros(us))
	default:
		return fmt.Errorf("instant %v: must be a whole number of microseconds, is %T", stored, stored)
	}
	return nil
}

// into lets Scan read an instant into a time.
func into(t *time.Time) *instant { return (*instant)(t) }

// blob is an id as it is stored. Passing the array itself would store its text.
func blob(id uuid.UUID) []byte { return id[:] }

// distinct are ids in their order, each once.
func distinct(ids []uuid.UUID) []uuid.UUID {
	all := slices.Clone(ids)
	slices.SortFunc(all, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	return slices.Compact(all)
}

// share is the number that shares are distinguished by: see Holds of [lifecycle.Shard].
func share(id uuid.UUID) int64 {
	return int64(id[12])<<24 | int64(id[13])<<16 | int64(id[14])<<8 | int64(id[15])
}

// flag is a truth value as it is stored.
func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
