package postgres_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/store/postgres"
	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
	"github.com/dormouse-go/dormouse/store/refusal"
)

// A ready member that the host keeps from being given away is passed over for a minute, and named. Where none can be given away that is an
// error, and no member is passed over: the claim may be to blame.
func TestClaimMembersBesideATriggerOfTheHost(t *testing.T) {
	pool := pgtest.Pool(t)
	for how, refused := range rowRefusals {
		if how == "a constraint" {
			continue
		}
		t.Run(how, func(t *testing.T) {
			exec(t, pool, letGoSQL)
			exec(t, pool, emptySQL)
			var log bytes.Buffer
			s, err := postgres.New(pool, postgres.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
			must(t, err)
			ids := [3]uuid.UUID{uuid.New(), uuid.New(), uuid.New()}
			changes := make([]prewarm.Change, len(ids))
			for i, id := range ids {
				changes[i].Member = prewarm.Member{ID: id, Pool: "p", State: prewarm.Ready, ReadyAt: epoch.Add(time.Duration(i) * time.Second)}
			}
			_, err = s.PutMembers(soon(t), nil, changes)
			must(t, err)
			claim := func(after time.Duration, keys ...string) (said string) {
				var claims []prewarm.Claim
				for _, key := range keys {
					claims = append(claims, prewarm.Claim{Key: key, Owner: "ann"})
				}
				grants, err := s.ClaimMembers(soon(t), epoch.Add(after), prewarm.Pick{Pool: "p"}, claims)
				if err != nil {
					if errors.Is(err, lifecycle.ErrUnavailable) {
						t.Errorf("error %v", err)
					}
					return strings.ReplaceAll(err.Error(), ids[0].String(), "FIRST")
				}
				for _, g := range grants {
					for i, id := range ids {
						if g.Member.ID == id {
							said += fmt.Sprint(i)
						}
					}
					said += fmt.Sprint("/", g.Result, " ")
				}
				return said
			}
			exec(t, pool, fmt.Sprintf(strings.ReplaceAll(refused, "dormouse.jobs", "dormouse.members"), "UPDATE", ids[0]))
			if got, want := claim(time.Minute, "one"), "1/1 "; got != want {
				t.Errorf("the first claim gets %q, want %q", got, want)
			}
			if said := log.String(); strings.Count(said, "members cannot be given away") != 1 || !strings.Contains(said, ids[0].String()) {
				t.Errorf("log: %s", said)
			}
			log.Reset()
			if got, want := claim(90*time.Second, "one", "two", "three"), "1/2 2/1 /0 "; got != want {
				t.Errorf("claims beside a member that is passed over get %q, want %q", got, want)
			}
			if said := log.String(); said != "" {
				t.Errorf("said again: %s", said)
			}
			for range 2 {
				if got := claim(2*time.Minute, "three"); !strings.Contains(got, "member FIRST: ") {
					t.Errorf("with no other member: %q", got)
				}
			}
			exec(t, pool, letGoSQL)
			if got, want := claim(2*time.Minute, "three"), "0/1 "; got != want {
				t.Errorf("once it can be given away: %q, want %q", got, want)
			}
		})
	}
}

// A claim tries so many members and no more: it may be to blame itself.
func TestClaimMembersTriesSoMany(t *testing.T) {
	s, pool := open(t)
	for n, want := range map[int]bool{refusal.MaxTried - 1: true, refusal.MaxTried: false} {
		exec(t, pool, letGoSQL)
		exec(t, pool, emptySQL)
		changes := make([]prewarm.Change, n+1)
		for i := range changes {
			changes[i].Member = prewarm.Member{ID: uuid.New(), Pool: "p", Version: "v1", State: prewarm.Ready, ReadyAt: epoch.Add(time.Duration(i) * time.Second), Message: "bad"}
		}
		changes[n].Member.Message = "good"
		_, err := s.PutMembers(soon(t), nil, changes)
		must(t, err)
		exec(t, pool, hostTrigger("UPDATE", "members", "old.message = 'bad'", refusals["raises"]))
		grants, err := s.ClaimMembers(soon(t), epoch.Add(time.Hour), prewarm.Pick{Pool: "p", Version: "v1"}, []prewarm.Claim{{Key: "one", Owner: "ann"}})
		if (err == nil) != want || err == nil && grants[0].Member.ID != changes[n].Member.ID {
			t.Errorf("behind %d members that are refused: %+v, error %v", n, grants, err)
		}
	}
}
