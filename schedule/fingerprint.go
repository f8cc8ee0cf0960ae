package schedule

import (
	"encoding/binary"
	"hash/fnv"
)

// A fingerprint looks at the changes of a clock in the years 1970 to 2099, more
// than anybody stores instants for. Where the time zone database has no explicit
// changes, it has rules for every year.
const (
	fingerprintFrom = 0
	fingerprintTo   = 4102444800
)

// ZoneFingerprint returns a number that stands for what the time zone data of this
// process say about the schedule's zone, and never 0. It is 0 for a schedule that never fires.
//
// It is for whoever stores instants that were computed with a schedule. Governments
// change the rules of clocks, new data arrive with the operating system or the
// program, and what was computed before is then up to hours wrong. Keep the number beside the instant,
// or one for each zone that is in use (it depends on the zone only), and where a
// process finds another one, compute again: a row with a wake becomes due once.
// Processes with the same rules have the same number, whatever their platform.
//
// The first call for a zone takes some tenths of a millisecond, others nanoseconds.
// Schedules of one [Interner] share the first.
func (c *Cron) ZoneFingerprint() int64 {
	if !c.fires() {
		return 0
	}
	return c.zone.fingerprint()
}

// ZoneFingerprint is [Cron.ZoneFingerprint] for the zone of the dates. It is 0 for
// the empty set and for dates that cannot be read.
func (d *Dates) ZoneFingerprint() int64 {
	if d == nil || d.zone == nil {
		return 0
	}
	return d.zone.fingerprint()
}

func (z *zone) fingerprint() int64 {
	sum := z.sum.Load()
	if sum == 0 {
		sum = z.summarize()
		z.sum.Store(sum)
	}
	return sum
}

func (z *zone) summarize() int64 {
	h := fnv.New64a()
	write := func(n int64) { h.Write(binary.BigEndian.AppendUint64(nil, uint64(n))) }
	h.Write([]byte(z.loc.String()))
	for at := int64(fingerprintFrom); at < fingerprintTo; {
		offset := z.offset(at)
		write(at)
		write(offset)
		at = z.change(at, offset, fingerprintTo)
	}
	return max(1, int64(h.Sum64()>>1)) // positive, as keys of a database like it
}
