package postgres

import (
	"sync"
	"time"
)

const (
	// lowWaterMargin is how far below the earliest wake that was seen the bound stays. It is for rows that others write:
	// a wake is never before the clock of its writer when it was decided, so a row can appear below the bound only if a
	// clock is that far behind, or a transaction stays open for that long.
	lowWaterMargin = 5 * time.Minute
	// fullScanInterval is how often the whole index is read all the same: the longest delay of such a row.
	fullScanInterval = 15 * time.Minute
)

// lowWater is an instant below which no wake is expected. A herd at nine leaves behind as many dead entries of the due
// index as it had members, at its very beginning; reading begins above them. While somebody keeps an old snapshot open
// they cannot even be marked as dead, and every tick would visit them again.
type lowWater struct {
	mu      sync.Mutex
	bound   time.Time
	scanned time.Time // the instant of the last reading from the beginning
	latest  time.Time // the latest instant that was asked for
	writing int       // writes below what may become the bound, on their way
	epoch   uint64    // counts those that have begun
}

// lowWaterRead is what a reading must know to teach the bound something.
type lowWaterRead struct {
	from  time.Time // zero: from the beginning
	epoch uint64
	teach bool
}

// read says where a reading at now begins.
func (l *lowWater) read(now time.Time) lowWaterRead {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.After(l.latest) {
		l.latest = now
	}
	r := lowWaterRead{epoch: l.epoch, teach: l.writing == 0}
	fresh := !now.Before(l.scanned) && now.Before(l.scanned.Add(fullScanInterval))
	if fresh && !l.scanned.IsZero() {
		r.from = l.bound
	}
	return r
}

// known is where a reading begins that has no instant of its own: the bound, unless the whole index is to be read soon.
func (l *lowWater) known() time.Time {
	l.mu.Lock()
	latest := l.latest
	l.mu.Unlock()
	return l.read(latest).from
}

// learn takes what a reading at now of all shares found first: the earliest wake, or zero for nothing up to now.
func (l *lowWater) learn(r lowWaterRead, now, first time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !r.teach || l.epoch != r.epoch || l.writing > 0 {
		return
	}
	if first.IsZero() {
		first = now
	}
	l.bound = first.Add(-lowWaterMargin)
	if r.from.IsZero() {
		l.scanned = now
	}
}

// write announces that a row with this wake is about to be written by this process. The returned function says that it
// was, or was not.
func (l *lowWater) write(wake time.Time) func() {
	if wake.IsZero() {
		return func() {}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.latest.IsZero() && !wake.Before(l.latest.Add(-lowWaterMargin)) {
		return func() {} // not below any bound for as long as the margin
	}
	l.writing++
	l.epoch++
	l.lower(wake)
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.writing-- // nobody has learned anything meanwhile
	}
}

func (l *lowWater) lower(wake time.Time) {
	if wake.Before(l.bound) {
		l.bound = wake
	}
}
