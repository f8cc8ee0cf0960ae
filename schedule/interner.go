package schedule

import (
	"strings"
	"sync"
	"time"
)

// DefaultInternerSize is how many schedules an [Interner] keeps unless told otherwise.
const DefaultInternerSize = 4096

// Interner parses each distinct text once and hands out the shared *Cron. It is
// for stores, which read millions of rows with few different schedules. It keeps
// a bounded number of schedules, those in use among them. The zero value is ready; it is safe for
// concurrent use and must not be copied after first use.
//
// It never fails: "" gives nil, and a text that cannot be used gives a *Cron
// whose Err is the reason, which never fires and whose Text is the text, so that one bad
// stored row is an error on that row alone.
type Interner struct {
	// Options are those of every schedule handed out. Set before first use.
	// Defaults to the library's policy.
	Options Options

	// Size is how many schedules are kept, about 2 KB each. Set before first use.
	// Defaults to DefaultInternerSize.
	Size int

	mu sync.RWMutex
	// Two generations: what was asked for since the last turn, and what was
	// before. A turn forgets the older, so nothing in use is lost for long and no order has to be kept.
	young, old map[internKey]*Cron
	zones      map[string]*zone
}

type internKey struct {
	kind kind
	text string
}

// Weekly returns the schedule that [Weekly] makes of the text.
func (i *Interner) Weekly(text string) *Cron { return i.get(internKey{weekly, text}) }

// Daily returns the schedule that [Daily] makes of the text.
func (i *Interner) Daily(text string) *Cron { return i.get(internKey{daily, text}) }

func (i *Interner) get(key internKey) *Cron {
	if key.text == "" {
		return nil
	}
	i.mu.RLock()
	c, ok := i.young[key]
	i.mu.RUnlock()
	switch {
	case ok:
		return c
	case len(key.text) > maxText:
		return i.parse(key) // an error, and too large to keep
	}
	// The row that the text was cut from must not be kept alive by it.
	key.text = strings.Clone(key.text)
	if c = i.remembered(key); c == nil {
		c = i.parse(key)
	}
	return i.keep(key, c)
}

func (i *Interner) remembered(key internKey) *Cron {
	i.mu.RLock()
	defer i.mu.RUnlock()
	return i.old[key]
}

func (i *Interner) parse(key internKey) *Cron {
	c, err := parse(key.kind, key.text, i.Options, i.zone)
	if err != nil {
		return unusable(key.text, err)
	}
	return c
}

// zone returns the one zone that all schedules of a location share.
func (i *Interner) zone(loc *time.Location) *zone {
	i.mu.Lock()
	defer i.mu.Unlock()
	z, ok := i.zones[loc.String()]
	if !ok {
		if i.zones == nil {
			i.zones = make(map[string]*zone)
		}
		z = newZone(loc)
		i.zones[loc.String()] = z
	}
	return z
}

// keep stores a schedule, unless another goroutine was first, and returns the stored one.
func (i *Interner) keep(key internKey, c *Cron) *Cron {
	i.mu.Lock()
	defer i.mu.Unlock()
	if first, ok := i.young[key]; ok {
		return first
	}
	if i.young == nil || len(i.young) >= i.generation() {
		i.old, i.young, i.zones = i.young, make(map[internKey]*Cron), nil
	}
	i.young[key] = c
	return c
}

func (i *Interner) generation() int {
	size := i.Size
	if size <= 0 {
		size = DefaultInternerSize
	}
	return max(1, size/2)
}
