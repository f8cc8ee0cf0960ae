package postgres

import (
	"math"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgtype/zeronull"

	"github.com/dormouse-go/dormouse/store"
)

// The zero instant is NULL in the database, everything else is what it is in Go: ids are never NULL.

// stamp is an instant on its way to the database, cut to microseconds there and to the range that every store keeps.
type stamp time.Time

// TimestamptzValue implements pgtype.TimestamptzValuer.
func (s stamp) TimestamptzValue() (pgtype.Timestamptz, error) {
	t := store.Instant(time.Time(s))
	return pgtype.Timestamptz{Time: t, Valid: !t.IsZero()}, nil
}

// stored is an instant on its way from the database. Hosts write infinity there, meaning for ever: it is the last instant
// that there is, as -infinity is the first.
type stored time.Time

// ScanTimestamptz implements pgtype.TimestamptzScanner.
func (s *stored) ScanTimestamptz(v pgtype.Timestamptz) error {
	switch {
	case !v.Valid:
		*s = stored{}
	case v.InfinityModifier == pgtype.Infinity:
		*s = stored(store.LastInstant)
	case v.InfinityModifier == pgtype.NegativeInfinity:
		*s = stored(store.FirstInstant)
	default:
		*s = stored(v.Time)
	}
	return nil
}

// key is an id on its way to the database.
type key = [16]byte

func keys(ids []uuid.UUID) []key {
	out := make([]key, len(ids))
	for i, id := range ids {
		out[i] = key(id)
	}
	return out
}

// toTime, toID, toText and the like read a column into a field; NULL becomes zero.
func toTime(t *time.Time) any { return (*stored)(t) }
func toID(id *uuid.UUID) any  { return (*zeronull.UUID)(id) }
func toText(s *string) any    { return (*zeronull.Text)(s) }
func toInt2(n *int16) any     { return (*zeronull.Int2)(n) }
func toInt4(n *int32) any     { return (*zeronull.Int4)(n) }
func toInt8(n *int64) any     { return (*zeronull.Int8)(n) }

// normalize brings instants that were read to the form in which every store returns them.
func normalize(times ...*time.Time) {
	for _, t := range times {
		*t = store.Instant(*t)
	}
}

// beginning is before every instant in the database.
var beginning = pgtype.Timestamptz{InfinityModifier: pgtype.NegativeInfinity, Valid: true}

// instant is the parameter for an instant that is never NULL.
func instant(t time.Time) pgtype.Timestamptz { return pgtype.Timestamptz{Time: t, Valid: true} }

// count32 fits a count into a column of four bytes.
func count32(n int) int32 { return int32(min(max(n, math.MinInt32), math.MaxInt32)) }
