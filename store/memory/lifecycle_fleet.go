package memory

import (
	"math"
	"time"

	"github.com/dormouse-go/dormouse/store/form"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
	"github.com/dormouse-go/dormouse/store"
)

// none is the slot of nothing; slot 0 of each slab stays empty.
const none uint32 = 0

// fleet holds the workspaces and their builds in slabs of flat records.
type fleet struct {
	slots  map[uuid.UUID]uint32
	rows   slab[row]
	builds slab[build]

	byWake order // of the workspaces that have a wake
	byID   order // of those that are not deleted

	names    arena
	crons    shared
	reasons  reasons
	outcomes map[uint32]outcome           // of the builds that have one, by slot
	backoffs map[uint32]lifecycle.Backoff // of the few that have one, by slot
	// restraints are holds and floors, of the few that have any, by slot.
	restraints map[uint32]restraint
}

func newFleet() fleet {
	return fleet{
		slots:    map[uuid.UUID]uint32{},
		rows:     newSlab[row](),
		builds:   newSlab[build](),
		crons:    newShared(),
		reasons:  newReasons(),
		outcomes: map[uint32]outcome{},
		backoffs: map[uint32]lifecycle.Backoff{}, restraints: map[uint32]restraint{},
	}
}

// row is a workspace. It has no pointers: instants are microseconds, names and schedules are numbers of where they are.
type row struct {
	id, organization                  uuid.UUID
	owner, template                   uint32 // slots
	ofOwner, ofTemplate               link
	name                              text
	revision                          int64
	createdAt, wakeAt, autostartAfter int64
	lastUsedAt, dormantAt, deletingAt int64
	remindedFor, attentionAt, ttl     int64
	seen                              lifecycle.Seen
	autostart, autostop               uint32 // numbers of the schedules
	failures, startFailures           int32
	build                             uint32 // slot of the latest
	flags                             flags
}

type flags uint8

const (
	automaticUpdates flags = 1 << iota
	managed
	deleted
	backingOff
	restrained
)

func (f *flags) set(bit flags, on bool) {
	if *f &^= bit; on {
		*f |= bit
	}
}

// never is the zero instant. It is not zero, which is an instant like others: the beginning of 1970.
const never = math.MinInt64

func micros(t time.Time) int64 {
	if us, ok := form.Micros(t); ok {
		return us
	}
	return never
}

func instant(us int64) time.Time {
	if us == never {
		return time.Time{}
	}
	return form.FromMicros(us)
}

// write stores what may change of a workspace.
func (f *fleet) write(slot uint32, w *lifecycle.Workspace) {
	r := f.rows.at(slot)
	f.reindex(slot, r, micros(w.WakeAt), w.Deleted)
	r.autostartAfter, r.lastUsedAt = micros(w.AutostartAfter), micros(w.LastUsedAt)
	r.dormantAt, r.deletingAt = micros(w.DormantAt), micros(w.DeletingAt)
	r.remindedFor, r.seen = micros(w.RemindedFor), w.Seen
	r.attentionAt, r.ttl = micros(w.AttentionAt), int64(w.TTL)
	r.failures, r.startFailures = int32(w.Failures), int32(w.StartFailures)
	r.autostart = f.crons.swap(r.autostart, w.Autostart)
	r.autostop = f.crons.swap(r.autostop, w.Autostop)
	r.flags.set(automaticUpdates, w.AutomaticUpdates)
	r.flags.set(managed, w.Managed)
	f.writeBackoff(slot, r, w.Backoff)
	f.writeRestraint(slot, r, w)
}

// restraint is what keeps rules from acting on a workspace.
type restraint struct {
	hold   lifecycle.Hold
	floors lifecycle.Floors
}

func (f *fleet) writeRestraint(slot uint32, r *row, w *lifecycle.Workspace) {
	on := w.Hold != lifecycle.Hold{} || w.Floors != lifecycle.Floors{}
	if on {
		h, fl := w.Hold, w.Floors
		h.Until, h.Note, h.By = store.Instant(h.Until), form.Text(h.Note), form.Text(h.By)
		fl.Stop, fl.Dormancy, fl.Delete = store.Instant(fl.Stop), store.Instant(fl.Dormancy), store.Instant(fl.Delete)
		f.restraints[slot] = restraint{h, fl}
	} else if r.flags&restrained != 0 {
		delete(f.restraints, slot)
	}
	r.flags.set(restrained, on)
}

func (f *fleet) writeBackoff(slot uint32, r *row, b lifecycle.Backoff) {
	on := b != lifecycle.Backoff{}
	if on {
		b.Until = store.Instant(b.Until)
		b.Cause, b.Message = lifecycle.SkipReason(form.Text(string(b.Cause))), form.Text(b.Message)
		f.backoffs[slot] = b
	} else if r.flags&backingOff != 0 {
		delete(f.backoffs, slot)
	}
	r.flags.set(backingOff, on)
}

// reindex keeps the indexes true to the row.
func (f *fleet) reindex(slot uint32, r *row, wake int64, gone bool) {
	if wake != r.wakeAt {
		if r.wakeAt != never {
			f.byWake.remove(entryOf(r.wakeAt, r.id, slot))
		}
		if wake != never {
			f.byWake.insert(entryOf(wake, r.id, slot))
		}
		r.wakeAt = wake
	}
	if was := r.flags&deleted != 0; was != gone {
		if gone {
			f.byID.remove(entryOf(0, r.id, slot))
		} else {
			f.byID.insert(entryOf(0, r.id, slot))
		}
		r.flags.set(deleted, gone)
	}
}

// readInto fills in the workspace of a slot.
func (f *fleet) readInto(slot uint32, r *row, w *lifecycle.Workspace) {
	w.ID, w.OrganizationID, w.Name = r.id, r.organization, f.names.get(r.name)
	w.CreatedAt, w.Revision, w.WakeAt = instant(r.createdAt), r.revision, instant(r.wakeAt)
	w.Autostart, w.AutostartAfter = f.crons.get(r.autostart), instant(r.autostartAfter)
	w.TTL, w.LastUsedAt = time.Duration(r.ttl), instant(r.lastUsedAt)
	w.DormantAt, w.DeletingAt = instant(r.dormantAt), instant(r.deletingAt)
	w.RemindedFor, w.Seen, w.Autostop = instant(r.remindedFor), r.seen, f.crons.get(r.autostop)
	w.AttentionAt, w.Failures, w.StartFailures = instant(r.attentionAt), int(r.failures), int(r.startFailures)
	w.AutomaticUpdates, w.Managed, w.Deleted = r.flags&automaticUpdates != 0, r.flags&managed != 0, r.flags&deleted != 0
	if r.flags&backingOff != 0 {
		w.Backoff = f.backoffs[slot]
	}
	if r.flags&restrained != 0 {
		kept := f.restraints[slot]
		w.Hold, w.Floors = kept.hold, kept.floors
	}
}

// shared numbers values that many rows point to, and forgets those that no row points to any more.
type shared struct {
	numbers map[*schedule.Cron]uint32
	values  []sharedCron
	free    []uint32
}

type sharedCron struct {
	cron *schedule.Cron
	refs int
}

func newShared() shared {
	return shared{numbers: map[*schedule.Cron]uint32{}, values: make([]sharedCron, 1)}
}

func (s *shared) get(number uint32) *schedule.Cron { return s.values[number].cron }

// swap gives up one value for another and returns its number.
func (s *shared) swap(old uint32, c *schedule.Cron) uint32 {
	if s.values[old].cron == c {
		return old
	}
	if old != none {
		s.release(old)
	}
	if c == nil {
		return none
	}
	number, ok := s.numbers[c]
	if !ok {
		number = s.room()
		s.values[number].cron = c
		s.numbers[c] = number
	}
	s.values[number].refs++
	return number
}

func (s *shared) release(number uint32) {
	v := &s.values[number]
	if v.refs--; v.refs == 0 {
		delete(s.numbers, v.cron)
		*v = sharedCron{}
		s.free = append(s.free, number)
	}
}

func (s *shared) room() uint32 {
	if n := len(s.free); n > 0 {
		number := s.free[n-1]
		s.free = s.free[:n-1]
		return number
	}
	s.values = append(s.values, sharedCron{})
	return uint32(len(s.values) - 1)
}
