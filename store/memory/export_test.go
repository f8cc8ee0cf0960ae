package memory

import (
	"strconv"
	"testing"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
	"github.com/dormouse-go/dormouse/store/storetest"
)

// Corrupt is for the suite: it writes what no method lets in.
func Corrupt(t *testing.T, store storetest.LifecycleStore, what string, id uuid.UUID, value string) {
	s := store.(interface {
		corrupt(what string, id uuid.UUID, value string) error
	})
	if err := s.corrupt(what, id, value); err != nil {
		t.Fatal(err)
	}
}

func (s *Store) corrupt(what string, id uuid.UUID, value string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var crons schedule.Interner
	switch what {
	case "policy":
		s.templates.put(id).Policy = lifecycle.ReadPolicy([]byte(value))
	case "state":
		s.templates.put(id).ReadState([]byte(value))
	case "engine":
		s.engine = lifecycle.ReadEngine([]byte(value))
	case "hold rules":
		n, err := strconv.ParseUint(value, 10, 8)
		slot := s.fleet.slots[id]
		kept := s.fleet.restraints[slot]
		kept.hold.Rules = lifecycle.HoldRules(n)
		s.fleet.restraints[slot] = kept
		return err
	case "quiet hours":
		s.owners.put(id).QuietHours = crons.Daily(value)
	case "ttl":
		n, err := strconv.ParseInt(value, 10, 64)
		s.fleet.rows.at(s.fleet.slots[id]).ttl = n
		return err
	case "autostart":
		r := s.fleet.rows.at(s.fleet.slots[id])
		r.autostart = s.fleet.crons.swap(r.autostart, crons.Weekly(value))
	case "autostop":
		r := s.fleet.rows.at(s.fleet.slots[id])
		r.autostop = s.fleet.crons.swap(r.autostop, crons.Weekly(value))
	}
	return nil
}

// Crons is how many schedules the store keeps.
func (s *Store) Crons() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.fleet.crons.numbers)
}

// BuildsKept is how many builds the store has room for that it has not freed.
func (s *Store) BuildsKept() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return int(s.fleet.builds.next) - 1 - len(s.fleet.builds.free)
}
