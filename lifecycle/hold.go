package lifecycle

import (
	"strings"
	"time"

	"github.com/dormouse-go/dormouse/internal/micros"
	"github.com/dormouse-go/dormouse/internal/text"
	"github.com/dormouse-go/dormouse/internal/unread"
	"github.com/dormouse-go/dormouse/invalid"
)

// Hold suspends rules until an instant: a vacation, an incident, a legal hold. The zero value holds nothing.
//
// An autostart that falls into a hold is not caught up. A stop that falls into it happens at its end, spread by the policy's
// jitter. After a hold of them dormancy waits for another 2 hours and deletion for 24, so that its end, natural or early,
// surprises nobody. The stop of a suspended owner's workspace is held by nothing.
type Hold struct {
	// Until is when the hold ends; zero, or an instant that has passed, holds nothing.
	Until time.Time `json:"until,omitzero"`
	// Rules are the rules that are held. Zero is all of them.
	Rules HoldRules `json:"rules,omitzero"`
	// Note says why, and By who set it: for people.
	Note string `json:"note,omitempty"`
	By   string `json:"by,omitempty"`

	unread unread.Rest // see package unread
}

// HoldRules is a set of kinds of rules. The zero value stands for all of them.
type HoldRules uint8

// The kinds of rules that can be held.
const (
	// HoldStarts holds automatic starts, and the extension that stands for one.
	HoldStarts HoldRules = 1 << iota
	// HoldStops holds automatic stops.
	HoldStops
	// HoldDormancy keeps workspaces from becoming dormant.
	HoldDormancy
	// HoldDeletion keeps workspaces from being deleted.
	HoldDeletion

	// HoldAll is every kind.
	HoldAll = HoldStarts | HoldStops | HoldDormancy | HoldDeletion
)

var holdNames = [...]string{"starts", "stops", "dormancy", "deletion"}

// Includes reports whether all the given kinds are in the set.
func (r HoldRules) Includes(kinds HoldRules) bool { return r.all()&kinds == kinds }

// all reads a set as the rules do. One with kinds that nobody knows, which only a row written by hand has, holds everything.
func (r HoldRules) all() HoldRules {
	if r == 0 || r > HoldAll {
		return HoldAll
	}
	return r
}

// String lists the kinds, "all" for all of them.
func (r HoldRules) String() string {
	if r.all() == HoldAll {
		return "all"
	}
	var list []string
	for i, name := range holdNames {
		if r&(1<<i) != 0 {
			list = append(list, name)
		}
	}
	return strings.Join(list, ",")
}

// MarshalText implements encoding.TextMarshaler.
func (r HoldRules) MarshalText() ([]byte, error) {
	if r > HoldAll {
		return nil, invalid.New("HoldRules", uint8(r), "must be a set of %s", strings.Join(holdNames[:], ", "))
	}
	return []byte(r.String()), nil
}

// UnmarshalText implements encoding.TextUnmarshaler. "" is all.
func (r *HoldRules) UnmarshalText(text []byte) error {
	set := HoldRules(0)
	if s := string(text); s != "" && s != "all" {
		for name := range strings.SplitSeq(s, ",") {
			kind := holdKind(strings.TrimSpace(name))
			if kind == 0 {
				return invalid.New("HoldRules", s, "must be all, or a list of %s", strings.Join(holdNames[:], ", "))
			}
			set |= kind
		}
	}
	*r = set
	return nil
}

func holdKind(name string) HoldRules {
	for i, n := range holdNames {
		if n == name {
			return 1 << i
		}
	}
	return 0
}

// maxNote bounds the texts of a hold, which are part of every snapshot.
const maxNote = 500

// Validate refuses what is no hold: an end outside the years 1 to 9999, kinds that do not exist, long texts.
func (h Hold) Validate() error {
	switch {
	case h.Rules > HoldAll:
		return invalid.New("Hold.Rules", uint8(h.Rules), "must be a set of %s", strings.Join(holdNames[:], ", "))
	case len(h.Note) > maxNote:
		return invalid.New("Hold.Note", h.Note, "must not be longer than %d bytes", maxNote)
	case len(h.By) > maxNote:
		return invalid.New("Hold.By", h.By, "must not be longer than %d bytes", maxNote)
	}
	return validInstant("Hold.Until", h.Until)
}

// stored is the hold as it is kept, without what was not read of another one, which it may be a copy of.
func (h Hold) stored() Hold {
	h.Until, h.unread = micros.Of(h.Until), unread.Rest{}
	h.Note, h.By = cutText(h.Note, maxNote), cutText(h.By, maxNote)
	if h.Rules.all() == HoldAll {
		h.Rules = 0
	}
	return h
}

// inPlaceOf is the hold as it is kept where old was: old itself if it says the same.
func (h Hold) inPlaceOf(old Hold) Hold {
	if h = h.stored(); h == old.stored() {
		return old
	}
	return h
}

// end returns until when any of the kinds is held, unset for not at all.
func (h *Hold) end(kinds HoldRules) instant {
	if h.Until.IsZero() || h.Rules.all()&kinds == 0 {
		return unset
	}
	return at(h.Until)
}

// describe names what is held, by whom and why.
func (h *Hold) describe() string {
	said := h.Rules.String()
	if h.By != "" {
		said += ", by " + text.Quoted(h.By)
	}
	if h.Note != "" {
		said += ": " + text.Quoted(h.Note)
	}
	return said
}

// Floors are instants before which rules do not act, whatever else says they should: the graces that the engine leaves
// where a change would bring something sooner. Zero for none.
type Floors struct {
	// Stop is for automatic stops, Dormancy for becoming dormant, Delete for deletions.
	Stop     time.Time `json:"stop,omitzero"`
	Dormancy time.Time `json:"dormancy,omitzero"`
	Delete   time.Time `json:"delete,omitzero"`
}

// The graces that the end of a hold leaves.
const (
	dormancyGrace = 2 * time.Hour
	deleteGrace   = 24 * time.Hour
)

// leave returns the floors, and the instant up to which starts do not count, after one hold took the place of another at
// now: what the old one held and the new one does not, or not for as long, has ended.
// The spread of the herd is added where it is known; the floors of templates get it when they are compared.
func (f Floors) leave(old, next *Hold, startAfter, now time.Time, spread time.Duration) (Floors, time.Time) {
	if old.Until.IsZero() {
		return f, startAfter
	}
	ended, kinds := micros.Earlier(old.Until, micros.Of(now)), old.Rules.all()
	if !next.Until.Before(old.Until) {
		kinds &^= next.Rules.all()
	}
	if kinds&HoldStarts != 0 {
		startAfter = micros.Later(startAfter, ended.Add(-micros.Tick))
	}
	if kinds&(HoldDormancy|HoldStops) != 0 { // dormancy may have to stop a workspace first
		f.Dormancy = micros.Later(f.Dormancy, later(ended, dormancyGrace+spread))
	}
	if kinds&HoldDeletion != 0 {
		f.Delete = micros.Later(f.Delete, later(ended, deleteGrace+spread))
	}
	return f, startAfter
}

// forget drops floors that were passed long ago.
func (f *Floors) forget(now time.Time) {
	for _, at := range []*time.Time{&f.Stop, &f.Dormancy, &f.Delete} {
		if at.Before(now.Add(-deleteGrace)) {
			*at = time.Time{}
		}
	}
}

func (f *Floors) none() bool { return f.Stop.IsZero() && f.Dormancy.IsZero() && f.Delete.IsZero() }

// of returns the floor of one kind of rules.
func (f *Floors) of(kind HoldRules) instant {
	switch kind {
	case HoldStops:
		return at(f.Stop)
	case HoldDormancy, HoldDormancy | HoldStops:
		return at(f.Dormancy)
	case HoldDeletion:
		return at(f.Delete)
	}
	return unset
}
