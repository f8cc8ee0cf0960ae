package executor

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// candidate is a due transition that asks for a place under the caps of a tick.
type candidate struct {
	id       uuid.UUID
	template uuid.UUID
	class    class
	due      time.Time
}

// class orders what competes for a place: what protects (a suspended owner's compute), then what saves, then what frees,
// then what costs.
type class uint8

const (
	classSuspended class = iota
	classStop
	classDelete
	classStart
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

// admit chooses whom the caps let pass, in order of class, then of due instant, then of id; 0 is no cap. It sorts the
// candidates in place.
func admit(all []candidate, perTick, perTemplate int) []candidate {
	slices.SortFunc(all, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.class, b.class), a.due.Compare(b.due), bytes.Compare(a.id[:], b.id[:]))
	})
	used := map[uuid.UUID]int{}
	var admitted []candidate
	for _, c := range all {
		if perTick > 0 && len(admitted) == perTick {
			break
		}
		if perTemplate > 0 && used[c.template] == perTemplate {
			continue
		}
		used[c.template]++
		admitted = append(admitted, c)
	}
	return admitted
}
