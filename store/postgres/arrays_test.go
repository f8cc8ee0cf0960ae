package postgres_test

import (
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// Arrays end with the last value that is not NULL: whichever of the changes of a batch has one, it is that workspace which gets
// it, and the others have none.
func TestValueOfOneAmongMany(t *testing.T) {
	s, _ := open(t)
	f := newFleet(t, s, 4)
	for which := range f.ids {
		var changes []lifecycle.Change
		for i, snapshot := range load(t, s, f.ids...) {
			c := wakeAt(snapshot, epoch)
			c.Workspace.DormantAt, c.Workspace.Hold = time.Time{}, lifecycle.Hold{}
			if i == which {
				c.Workspace.DormantAt = epoch.Add(time.Hour)
				c.Workspace.Hold = lifecycle.Hold{Until: epoch.Add(2 * time.Hour), Note: "an audit", By: "sam"}
			}
			changes = append(changes, c)
		}
		outcomes, err := s.Commit(t.Context(), epoch, changes)
		must(t, err)
		index := make(map[[16]byte]*lifecycle.Change, len(changes))
		for i := range changes {
			if outcomes[i] != lifecycle.Applied {
				t.Fatalf("change %d: %v", i, outcomes[i])
			}
			index[changes[i].Workspace.ID] = &changes[i]
		}
		for _, snapshot := range load(t, s, f.ids...) {
			want, have := index[snapshot.Workspace.ID].Workspace, snapshot.Workspace
			if have.DormantAt != want.DormantAt || have.Hold != want.Hold {
				t.Errorf("with values of change %d: %v and %+v, want %v and %+v", which, have.DormantAt, have.Hold, want.DormantAt, want.Hold)
			}
		}
	}
}
