package schedule

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// internerSize is how many schedules an [Interner] keeps, 2 to 5 KB each. A fleet has few different ones.
const internerSize = 4096

// Interner parses each distinct text once and hands out one shared *Cron. It is
// for stores, which read millions of rows with few different schedules. It keeps
// the schedules that were asked for last, up to 4,096. The zero value is ready to
// use. It is safe for concurrent use and must not be copied after first use.
//
// It never fails: "" gives nil, and a text that cannot be used gives a *Cron that
// never fires, whose Err is the reason and whose Text is the text. One bad stored
// row is then an error of that row alone.
type Interner struct {
	// Options are those of every schedule handed out. Set before first use.
	Options Options

	mu sync.RWMutex
	// Two generations: what was asked for since the last turn, and what was asked
	// for before it. A turn drops the older one, so what is in use stays and no
	// order has to be kept.
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
		return unusable(key.text, fmt.Errorf("stored %v: %w", key.kind, err))
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
	if i.young == nil || len(i.young) >= internerSize/2 {
		i.old, i.young, i.zones = i.young, make(map[internKey]*Cron), nil
	}
	i.young[key] = c
	return c
}
