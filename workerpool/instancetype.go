package workerpool

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"time"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/schedule"
)

// InstanceType is a kind of worker that can be had, and how many of it the host wants.
type InstanceType struct {
	// Name identifies the type in the pool. It is kept as a tag of each instance; at most 60 bytes of letters, digits
	// and "-_.".
	Name string
	// ProviderType is the provider's name of it. Defaults to Name.
	ProviderType string
	// Zone and Purchase ("spot", say) tell offerings of one provider type apart: each can run out by itself.
	Zone, Purchase string
	// QuotaGroup names the quota that the type counts against. Types of one group are held together when the quota is
	// reached. Defaults to the type's own name.
	QuotaGroup string
	// Price is what a worker costs for each hour of its existence, in the host's currency. It must be above zero, since
	// the cheapest type that fits is chosen.
	Price float64
	// Room is what a worker offers. One slot at least; a type whose only resource is slots is filled by count.
	Room Resources
	// Labels are what a job may require.
	Labels map[string]string

	// Max bounds the workers of the type. Zero: the pool's limits alone.
	Max int
	// MaxAge and MaxUses drain a worker that is older, or that has been given so many jobs. Zero: no end.
	MaxAge  time.Duration
	MaxUses int
	// Warm says what is kept though no job asks for it. Of several that apply at an instant the largest values count.
	Warm []Warm
}

// Warm is capacity that is kept ready.
type Warm struct {
	// Floor is how many workers exist at least. It must not be above what may exist.
	Floor int
	// Spare is how many slots are free at least, beyond what the waiting jobs take. As many workers must be allowed.
	Spare int
	// During restricts it to some hours of some days. Zero: always.
	During Hours
}

// Hours are hours of some days of the week. The zero value is always.
type Hours struct {
	// Days on which the hours begin. Defaults to all.
	Days schedule.Days
	// From and To are times of the day. To at or before From ends on the next day; both zero is the whole day.
	From, To time.Duration
	// Location defaults to UTC.
	Location *time.Location
}

const day = 24 * time.Hour

// Contains reports whether an instant is within the hours. They are counted by the wall clock: a day that a clock change
// makes longer or shorter begins and ends at its usual times.
func (h Hours) Contains(at time.Time) bool {
	if h == (Hours{}) {
		return true
	}
	local := at.In(cmp.Or(h.Location, time.UTC))
	hour, minute, second := local.Clock()
	sinceMidnight := time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute + time.Duration(second)*time.Second
	days := cmp.Or(h.Days, schedule.AllDays)
	today, yesterday := days.Has(local.Weekday()), days.Has((local.Weekday()+6)%7)
	if h.From < h.To {
		return today && sinceMidnight >= h.From && sinceMidnight < h.To
	}
	return today && sinceMidnight >= h.From || yesterday && sinceMidnight < h.To
}

func (h Hours) validate(field string) error {
	if err := h.Days.Validate(); err != nil {
		return invalid.New(field+".Days", h.Days, "must be a set of weekdays")
	}
	if h.From < 0 || h.From >= day {
		return invalid.New(field+".From", h.From, "must be a time of the day")
	}
	if h.To < 0 || h.To > day {
		return invalid.New(field+".To", h.To, "must be a time of the day")
	}
	return nil
}

// Wanted returns the floor and the spare slots at an instant.
func (t *InstanceType) Wanted(at time.Time) (floor, spare int) {
	for _, w := range t.Warm {
		if w.During.Contains(at) {
			floor, spare = max(floor, w.Floor), max(spare, w.Spare)
		}
	}
	return floor, spare
}

// Offering is what can run out of capacity: a provider's type in a zone, bought in a way.
func (t *InstanceType) Offering() string {
	return t.ProviderType + "/" + t.Zone + "/" + t.Purchase
}

// suits reports whether a worker of the type can run a job when it is empty.
func (t *InstanceType) suits(j *Job) bool {
	if !j.needs().Fit(t.Room) {
		return false
	}
	for key, value := range j.Requires {
		if have, ok := t.Labels[key]; !ok || have != value {
			return false
		}
	}
	return !j.Plain || len(t.Labels) == len(j.Requires)
}

func (t InstanceType) withDefaults() InstanceType {
	t.ProviderType = cmp.Or(t.ProviderType, t.Name)
	t.QuotaGroup = cmp.Or(t.QuotaGroup, t.Name)
	t.Labels = maps.Clone(t.Labels)
	t.Warm = append([]Warm(nil), t.Warm...)
	return t
}

func (t *InstanceType) validate(field string) error {
	switch {
	case !isName(t.Name):
		return invalid.New(field+".Name", t.Name, nameRule)
	case !(t.Price > 0) || math.IsInf(t.Price, 0): // not <= 0: that would let NaN pass
		return invalid.New(field+".Price", t.Price, "a type needs a price above zero")
	case t.Room.Slots < 1:
		return invalid.New(field+".Room.Slots", t.Room.Slots, "a type needs room for one job at least")
	}
	err := cmp.Or(
		invalid.Count(field+".Max", t.Max),
		invalid.Duration(field+".MaxAge", t.MaxAge),
		invalid.Count(field+".MaxUses", t.MaxUses),
	)
	if err != nil {
		return err
	}
	for i, w := range t.Warm {
		if err := w.validate(fmt.Sprintf("%s.Warm[%d]", field, i)); err != nil {
			return err
		}
	}
	return t.Room.validate(field + ".Room")
}

func (w Warm) validate(field string) error {
	return cmp.Or(
		invalid.Count(field+".Floor", w.Floor),
		invalid.Count(field+".Spare", w.Spare),
		w.During.validate(field+".During"),
	)
}

const (
	maxName  = 60 // what the providers with the shortest tags keep
	nameRule = `must be 1 to 60 letters, digits and "-_."`
)

// isName reports whether a text can be a tag's value and a word of a command.
func isName(s string) bool {
	if s == "" || len(s) > maxName || s[0] == '-' || s[0] == '.' {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return true
}
