package executor

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// caps admits transitions under the limits of a tick, in order of class, then of due instant, then of id. It keeps what
// the limits admit, not all that is due: what is not admitted among some transitions is not admitted among more either,
// because those ahead of it only gain.
type caps struct {
	perTick, perTemplate int // 0 is no limit
	// yields reports a workspace that takes no place from another one.
	yields func(*lifecycle.Snapshot) bool

	kept    []candidate
	offered int
	// crowded are those of classLocked that have no place.
	crowded []work
	// trimAt is the length at which kept is trimmed again: trimming each time it has doubled costs no more than sorting
	// all once.
	trimAt int
}

// candidate is a due transition that asks for a place.
type candidate struct {
	work
	class class
	// copied: the snapshot is not part of its page any more.
	copied bool
}

// class orders what competes for a place: what protects (a suspended owner's compute), then what saves, then what frees,
// then what costs, and at last what would only keep the place from others.
type class uint8

const (
	classSuspended class = iota
	classStop
	classDelete
	classStart
	// classLocked is what cannot be written for now.
	classLocked
)

func classOf(s *lifecycle.Snapshot, t lifecycle.Transition) class {
	switch {
	case t == lifecycle.TransitionStart:
		return classStart
	case t == lifecycle.TransitionDelete:
		return classDelete
	case s.Owner.Status == lifecycle.OwnerSuspended:
		return classSuspended
	}
	return classStop
}

func (c *caps) none() bool { return c.perTick == 0 && c.perTemplate == 0 }

// offer enters transitions.
func (c *caps) offer(works []work) {
	for _, w := range works {
		class := classOf(w.s, w.d.Transition)
		if c.yields(w.s) {
			class = classLocked
		}
		c.kept = append(c.kept, candidate{work: w, class: class})
	}
	c.offered += len(works)
	if len(c.kept) >= c.trimAt {
		c.trim()
		c.trimAt = 2*len(c.kept) + len(works)
	}
}

// admit returns the transitions that have a place, and how many have none.
func (c *caps) admit() (admitted []work, held int) {
	c.trim()
	admitted = make([]work, len(c.kept))
	for i, k := range c.kept {
		admitted[i] = k.work
	}
	return admitted, c.offered - len(admitted)
}

// trim drops what has no place. It copies the snapshots that stay, so that each does not keep its whole page in memory.
func (c *caps) trim() {
	slices.SortFunc(c.kept, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.class, b.class), a.d.DueAt.Compare(b.d.DueAt), bytes.Compare(a.s.Workspace.ID[:], b.s.Workspace.ID[:]))
	})
	used := map[uuid.UUID]int{}
	places := 0
	c.kept = slices.DeleteFunc(c.kept, func(k candidate) bool {
		template := k.s.Workspace.TemplateID
		if c.perTick > 0 && places == c.perTick || c.perTemplate > 0 && used[template] == c.perTemplate {
			if k.class == classLocked {
				c.crowded = append(c.crowded, k.work)
			}
			return true
		}
		used[template]++
		places++
		return false
	})
	for i := range c.kept {
		if k := &c.kept[i]; !k.copied {
			s := *k.s
			k.s, k.copied = &s, true
		}
	}
}
