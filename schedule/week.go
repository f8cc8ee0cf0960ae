package schedule

import "math/bits"

const (
	minutesPerHour = 60
	minutesPerDay  = 24 * minutesPerHour
	minutesPerWeek = 7 * minutesPerDay

	weekWords = (minutesPerWeek + 63) / 64
	weekIndex = (weekWords + 63) / 64
)

// epochMinute is the minute of the week, counted from Sunday 00:00, at which
// the count of local minutes starts: 1970-01-01 was a Thursday. The whole weeks
// added to it keep the sum positive for every instant since the year 1 and long
// before, so that an unsigned remainder will do.
const epochMinute = 4*minutesPerDay + minutesPerWeek<<32

// week is the set of minutes of a week at which a schedule is due, Sunday 00:00
// first, with an index of the words that are not empty: finding the next due
// minute looks at no more than five words, however far away it is.
//
// A minute is named by its count since 1970-01-01 00:00 on the zone's own clock.
type week struct {
	words [weekWords]uint64
	index [weekIndex]uint64
}

func (w *week) add(l *line) {
	for d := l.sundayFirst(); d != 0; d &= d - 1 { // clears the lowest bit
		for h := l.hours(); h != 0; h &= h - 1 {
			start := bits.TrailingZeros64(d)*minutesPerDay + bits.TrailingZeros64(h)*minutesPerHour
			for m := l.minutes(); m != 0; m &= m - 1 {
				w.set(uint(start + bits.TrailingZeros64(m)))
			}
		}
	}
}

func (w *week) set(minute uint) {
	word := minute / 64
	w.words[word] |= 1 << (minute % 64)
	w.index[word/64] |= 1 << (word % 64)
}

// next returns the first due minute that is not before m. The week must not be empty.
func (w *week) next(m int64) int64 {
	at := uint(uint64(m+epochMinute) % minutesPerWeek)
	word := at / 64
	if rest := w.words[word] >> (at % 64); rest != 0 {
		return m + int64(bits.TrailingZeros64(rest))
	}
	word = w.nextWord(word + 1)
	due := word*64 + uint(bits.TrailingZeros64(w.words[word]))
	if due < at {
		due += minutesPerWeek
	}
	return m + int64(due-at)
}

// nextWord returns the first word at or after i that is not empty, going round
// at the end of the week.
func (w *week) nextWord(i uint) uint {
	slot := i / 64
	if rest := w.index[slot] >> (i % 64); rest != 0 {
		return i + uint(bits.TrailingZeros64(rest))
	}
	for {
		slot = (slot + 1) % weekIndex
		if w.index[slot] != 0 {
			return slot*64 + uint(bits.TrailingZeros64(w.index[slot]))
		}
	}
}
