package postgres_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/store/postgres"
	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
)

// Of changes that are committed with members the one that the host refuses is a ChangeError, so that whoever has made them goes on with the
// others. It tries no more than it must to find out, and writes nothing.
func TestCommitMembersNamesTheChangeThatIsRefused(t *testing.T) {
	pool := pgtest.Pool(t)
	for what, on := range map[string]struct{ event, table, row string }{
		"member":    {"UPDATE", "members", "new.id = '%[2]s'"},
		"workspace": {"UPDATE", "workspaces", "new.id = '%[2]s'"},
		"event":     {"INSERT", "events", "new.workspace_id = '%[2]s'"},
	} {
		for how, refusal := range rowRefusals {
			if how == "a constraint" {
				continue
			}
			t.Run(what+"/"+how, func(t *testing.T) {
				exec(t, pool, letGoSQL)
				exec(t, pool, emptySQL)
				s := over(t, pool)
				changes, members := changesWithMembers(t, s, rowsOfCall)
				refused := changes[refusedRow].Workspace.ID
				row := strings.NewReplacer("dormouse.jobs", "dormouse."+on.table, "old.id = '%[2]s'", on.row).Replace(refusal)
				exec(t, pool, fmt.Sprintf(row, on.event, refused))
				tries := countTries(t, pool, on.event, on.table)
				_, err := s.CommitMembers(soon(t), epoch, changes, members)
				var blame *lifecycle.ChangeError
				if !errors.As(err, &blame) || blame.WorkspaceID != refused || errors.Is(err, lifecycle.ErrUnavailable) {
					t.Errorf("error %v, want one of workspace %s", err, refused)
				}
				most := triesOfCall
				if what == "workspace" { // it is written once more to hand it over
					most *= 2
				}
				if n := tries(); n > most {
					t.Errorf("tried %d times, want at most %d", n, most)
				}
				var written int
				must(t, pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM dormouse.events) + (SELECT count(*) FROM dormouse.jobs)
					+ (SELECT count(*) FROM dormouse.members WHERE revision > 1) + (SELECT count(*) FROM dormouse.workspaces WHERE build_number > 0)`).Scan(&written))
				if written > 0 {
					t.Errorf("%d rows are written", written)
				}
				rest := func(i int) bool { return i != refusedRow }
				outcomes, err := s.CommitMembers(soon(t), epoch, chosen(changes, rest), chosen(members, rest))
				if err != nil || slices.ContainsFunc(outcomes, func(o lifecycle.Outcome) bool { return o != lifecycle.Applied }) {
					t.Errorf("the others: %v, %v", outcomes, err)
				}
				only := func(i int) bool { return i == refusedRow }
				_, err = s.CommitMembers(soon(t), epoch, chosen(changes, only), chosen(members, only))
				// It may be the server that is slow, and who gives up what is refused would destroy the member.
				want := !strings.Contains(how, "statement_timeout")
				if err == nil || errors.As(err, &blame) != want {
					t.Errorf("alone: error %v, want one of the change: %v", err, want)
				}
			})
		}
	}
}

// changesWithMembers starts workspaces that are members of a pool, and gives those to claims.
func changesWithMembers(t *testing.T, s *postgres.Store, n int) (changes []lifecycle.Change, members []prewarm.Member) {
	t.Helper()
	put := make([]prewarm.Change, n)
	for i, found := range load(t, s, newFleet(t, s, n).ids...) {
		id := found.Workspace.ID
		c := started(t, found)
		c.Events = []lifecycle.Event{{Topic: lifecycle.TopicAudit, Kind: lifecycle.EventChanged, At: epoch, WorkspaceID: id}}
		m := prewarm.Member{ID: id, Resource: id, Pool: "p", State: prewarm.Ready}
		put[i].Member = m
		m.Revision = 1
		taken := prewarm.Claim{Key: id.String(), Owner: "ann"}.Take(m, epoch)
		taken.Revision--
		changes, members = append(changes, c), append(members, taken)
	}
	_, err := s.PutMembers(t.Context(), nil, put)
	must(t, err)
	return changes, members
}

func chosen[T any](all []T, want func(int) bool) (some []T) {
	for i, v := range all {
		if want(i) {
			some = append(some, v)
		}
	}
	return some
}
