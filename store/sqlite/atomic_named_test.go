package sqlite_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/store"
)

// A call that is made for all of its rows or none, and fails because the host refuses one of them, names it and has no effect. Only what is
// refused at the end of the transaction cannot be told apart.
func TestAtomicCallsNameTheRowThatIsRefused(t *testing.T) {
	const rows, refused = 250, 137
	postings := slices.Repeat([]queue.Posting{{Organization: uuid.New(), Tenant: uuid.New(), Type: "build"}}, rows)
	var changes []prewarm.Change
	for i := range rows {
		postings[i].ID = uuid.New()
		changes = append(changes, prewarm.Change{Member: prewarm.Member{ID: uuid.New(), Pool: "p", State: prewarm.Ready}})
	}
	next := slices.Clone(changes)
	for i := range next {
		next[i].Successor = &prewarm.Member{ID: uuid.New(), Pool: "p", State: prewarm.Ready}
	}
	for name, c := range map[string]struct {
		table string
		id    uuid.UUID
		do    func(p *pruned) error
		want  string
	}{
		"enqueue": {"jobs", postings[refused].ID, func(p *pruned) error {
			_, err := p.s.Enqueue(p.Context(), killEpoch, postings)
			return err
		}, fmt.Sprintf("posting %d, job %s: ", refused, postings[refused].ID)},
		"put members": {"members", changes[refused].Member.ID, func(p *pruned) error {
			_, err := p.s.PutMembers(p.Context(), nil, changes)
			return err
		}, fmt.Sprintf("member %s: ", changes[refused].Member.ID)},
		"put successors": {"members", next[refused].Successor.ID, func(p *pruned) error {
			_, err := p.s.PutMembers(p.Context(), nil, next)
			return err
		}, fmt.Sprintf("member %s: successor %s: ", next[refused].Member.ID, next[refused].Successor.ID)},
		"put the state of a pool": {"pools", uuid.Nil, func(p *pruned) error {
			_, err := p.s.PutMembers(p.Context(), &prewarm.PoolState{Pool: "p"}, changes)
			return err
		}, `state of pool "p": `},
	} {
		for how, refusal := range refusals {
			if how == "refers to nothing at the commit" {
				continue
			}
			t.Run(name+"/"+how, func(t *testing.T) {
				p := newPruned(t)
				when := `new.id = x'` + hex.EncodeToString(c.id[:]) + `'`
				if c.table == "pools" {
					when = "true"
				}
				p.exec(`CREATE TRIGGER host BEFORE INSERT ON dormouse_` + c.table + ` WHEN ` + when + ` BEGIN ` + refusal + `; END`)
				if err := c.do(p); err == nil || errors.Is(err, lifecycle.ErrUnavailable) || !strings.Contains(err.Error(), c.want) {
					t.Errorf("error %v, want one that has %q", err, c.want)
				}
				if n := rowsOf(t, p.db, "dormouse_"+c.table); n != 0 {
					t.Errorf("%d rows are written", n)
				}
				p.exec(`DROP TRIGGER host`)
				must(t, c.do(p))
			})
		}
	}
}

// A member that a trigger leaves out without a word where it is to change or to go, and such a state of a pool, are named too, and nothing of
// the call is done. What somebody else has changed is no such row.
func TestPutMembersNamesWhatATriggerLeavesOut(t *testing.T) {
	for name, c := range map[string]struct {
		on, when string
		change   func(m *prewarm.Member)
		want     string
	}{
		"member that changes": {"UPDATE ON dormouse_members", "new.message = 'kept'", func(*prewarm.Member) {}, "member ID: "},
		"member that goes":    {"DELETE ON dormouse_members", "old.message = 'kept'", func(m *prewarm.Member) { m.State = prewarm.Gone }, "member ID: "},
		"state of a pool":     {"UPDATE ON dormouse_pools", "true", func(*prewarm.Member) {}, `state of pool "p": `},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPruned(t)
			changes := []prewarm.Change{{}, {}, {}, {}}
			for i := range changes {
				changes[i].Member = prewarm.Member{ID: uuid.New(), Pool: "p", State: prewarm.Ready}
			}
			changes[2].Member.Message = "kept"
			_, err := p.s.PutMembers(t.Context(), &prewarm.PoolState{Pool: "p"}, changes)
			must(t, err)
			for i := range changes {
				changes[i].Member.Revision = 1
				c.change(&changes[i].Member)
			}
			changes[3].Member.Revision = 7 // as if somebody else had changed it
			p.exec(`CREATE TRIGGER host BEFORE ` + c.on + ` WHEN ` + c.when + ` BEGIN SELECT RAISE(IGNORE); END`)
			_, err = p.s.PutMembers(t.Context(), &prewarm.PoolState{Pool: "p", Revision: 1}, changes)
			if want := strings.ReplaceAll(c.want, "ID", changes[2].Member.ID.String()); err == nil || errors.Is(err, prewarm.ErrConflict) || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want one that has %q", err, want)
			}
			found, err := p.s.Members(t.Context(), prewarm.Query{Pool: "p"})
			must(t, err)
			for _, m := range found {
				if m.Revision != 1 {
					t.Errorf("%+v is written", m)
				}
			}
			if len(found) != len(changes) {
				t.Errorf("%d members are left", len(found))
			}
			p.exec(`DROP TRIGGER host`)
			applied, err := p.s.PutMembers(t.Context(), &prewarm.PoolState{Pool: "p", Revision: 1}, changes)
			if want := []bool{true, true, true, false}; err != nil || !slices.Equal(applied, want) {
				t.Errorf("without the trigger %v, error %v, want %v", applied, err, want)
			}
		})
	}
}

// In a transaction of the host the error names the row as well.
func TestCallsInATransactionNameTheRowThatIsRefused(t *testing.T) {
	for _, how := range []string{"raises", "ends the transaction"} {
		t.Run(how, func(t *testing.T) {
			p := newPruned(t)
			found, err := p.s.Load(t.Context(), seed(t, p.s, 1)...)
			must(t, err)
			postings := slices.Repeat([]queue.Posting{{ID: uuid.New(), Tenant: uuid.New(), Type: "build"}}, 5)
			all := slices.Repeat([]lifecycle.Workspace{found[0].Workspace}, 5)
			for i := range all {
				all[i].ID = uuid.New()
				postings[i].ID = all[i].ID
			}
			for _, table := range []string{"jobs", "workspaces"} {
				p.exec(`CREATE TRIGGER host_` + table + ` BEFORE INSERT ON dormouse_` + table + ` WHEN new.id = x'` + hex.EncodeToString(all[3].ID[:]) + `' BEGIN ` + refusals[how] + `; END`)
			}
			in := func(call func(store.Bound) error) error {
				tx, err := p.db.BeginTx(t.Context(), nil)
				must(t, err)
				defer func() { _ = tx.Rollback() }()
				return call(p.s.WithTx(tx))
			}
			err = in(func(b store.Bound) error { return b.CreateWorkspaces(t.Context(), killEpoch, all...) })
			if want := fmt.Sprintf("workspace %s: ", all[3].ID); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want one that has %q", err, want)
			}
			err = in(func(b store.Bound) error { _, err := b.Enqueue(t.Context(), killEpoch, postings); return err })
			if want := fmt.Sprintf("posting 3, job %s: ", all[3].ID); how == "raises" && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("error %v, want one that has %q", err, want)
			}
		})
	}
}

// A posting that is invalid is named by its place.
func TestEnqueueNamesTheInvalidPosting(t *testing.T) {
	p := newPruned(t)
	_, err := p.s.Enqueue(t.Context(), killEpoch, []queue.Posting{{Type: "build"}, {Type: "build", Weight: -1}})
	if err == nil || !strings.Contains(err.Error(), "posting 1: ") {
		t.Errorf("error %v", err)
	}
}
