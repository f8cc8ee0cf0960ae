// Package form is for authors of stores: the forms in which every store keeps values that a database might take otherwise,
// or not at all. Instants that a database has a type for have the form of [store.Instant].
package form

import (
	"encoding/json"
	"time"
	"unicode/utf8"

	"github.com/dormouse-go/dormouse/internal/micros"
	"github.com/dormouse-go/dormouse/internal/text"
)

// Micros returns an instant as a number, for stores without a type for it: microseconds since 1970, rounded down, within the
// range that stores keep. ok is false for the zero time; 0 is an instant like others.
func Micros(t time.Time) (us int64, ok bool) {
	if t.IsZero() {
		return 0, false
	}
	return micros.Within(t).UnixMicro(), true
}

// FromMicros returns the instant of a number of microseconds since 1970, in UTC, within the range that stores keep.
func FromMicros(us int64) time.Time { return micros.Within(time.UnixMicro(us).UTC()) }

// Text brings a text for people (a name, a message) to the form that every store keeps: UTF-8 without control characters but tab
// and without hidden ones, line breaks as blanks. What is not becomes U+FFFD, because an error message must not keep its row from
// being written, whatever it holds.
func Text(s string) string { return text.Plain(s) }

// EventAt is when an event was written that is kept as JSON; known is false where the document does not say. So an outbox prunes by age
// what it cannot read otherwise, because a later version wrote it.
func EventAt(event []byte) (at time.Time, known bool) {
	var e struct {
		At *time.Time `json:"at"`
	}
	if err := json.Unmarshal(event, &e); err != nil || e.At == nil {
		return time.Time{}, false
	}
	return *e.At, true
}

// PrefixEnd returns the first text, byte by byte, after all texts that begin with a prefix, which must be UTF-8; "" if there
// is none. With it a search for a prefix is a range of an index.
func PrefixEnd(prefix string) string {
	for prefix != "" {
		last, size := utf8.DecodeLastRuneInString(prefix)
		prefix = prefix[:len(prefix)-size]
		if last == 0xD7FF {
			last = 0xDFFF // what follows it is no text
		}
		if last < utf8.MaxRune {
			return prefix + string(last+1)
		}
	}
	return ""
}
