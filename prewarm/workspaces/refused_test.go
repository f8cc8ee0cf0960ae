package workspaces_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/prewarm"
)

var errKept = errors.New("kept by the host")

// naming are the ways in which a store says that it refuses the change of a member.
var naming = map[string]func(changes []lifecycle.Change, m prewarm.Member) error{
	"named": func(_ []lifecycle.Change, m prewarm.Member) error {
		return &lifecycle.ChangeError{WorkspaceID: m.Resource, Err: errKept}
	},
	"named alone": func(changes []lifecycle.Change, m prewarm.Member) error {
		if len(changes) > 1 {
			return errKept
		}
		return &lifecycle.ChangeError{WorkspaceID: m.Resource, Err: errKept}
	},
	"unnamed": func([]lifecycle.Change, prewarm.Member) error { return errKept },
}

// A ready member whose commit the host refuses is passed over: its claim gets the next one, and it is tried again a minute later. It is named
// in the log, once.
func TestClaimPassesAMemberThatIsRefused(t *testing.T) {
	for how, refusal := range naming {
		if how == "unnamed" { // it may be the store that is to blame
			continue
		}
		t.Run(how, func(t *testing.T) {
			var log bytes.Buffer
			bubble(t, 6, func(r *rig) { r.cfg.Logger = slog.New(slog.NewTextHandler(&log, nil)) }, func(r *rig) {
				pick := prewarm.Pick{Pool: "go", Version: r.pool.Spec.Version}
				ready, err := r.store.Members(r.t.Context(), prewarm.Query{Pool: "go", Pick: &pick})
				r.must(err)
				kept := ready[1].ID
				tries := 0
				r.refuses(func(changes []lifecycle.Change, m prewarm.Member) error {
					if m.ID == kept {
						tries++
						return refusal(changes, m)
					}
					return nil
				})
				claims := func(after time.Duration, keys ...string) (got []uuid.UUID) {
					var all []prewarm.Claim
					for _, key := range keys {
						all = append(all, prewarm.Claim{Key: key, Owner: "ann", Details: key})
					}
					grants, err := r.w.ClaimMembers(r.t.Context(), time.Now().Add(after), pick, all)
					r.must(err)
					for _, g := range grants {
						if g.Result != prewarm.GrantNew {
							t.Errorf("after %v: %+v", after, g)
						}
						got = append(got, g.Member.ID)
					}
					return got
				}
				want := func(got []uuid.UUID, at ...int) {
					t.Helper()
					for i, k := range at {
						if i >= len(got) || got[i] != ready[k].ID {
							t.Errorf("got %v, want %v of %v", got, at, ready)
							return
						}
					}
				}
				want(claims(0, "a", "b", "c"), 0, 3, 2)
				if said := log.String(); tries == 0 || strings.Count(said, "cannot be handed over") != 1 || !strings.Contains(said, kept.String()) {
					t.Errorf("%d tries, log: %s", tries, said)
				}
				tries = 0
				want(claims(59*time.Second, "d"), 4)
				if tries > 0 {
					t.Errorf("tried %d times within the minute", tries)
				}
				r.refuses(nil)
				want(claims(time.Minute, "e"), 1)
				r.consistent()
			})
		})
	}
}

// A claim that is refused with every member is to blame itself. It keeps no member from another claim, and nobody from being answered.
func TestClaimThatIsRefusedIsToBlame(t *testing.T) {
	for how, refusal := range naming {
		t.Run(how, func(t *testing.T) {
			bubble(t, 4, nil, func(r *rig) {
				pick := prewarm.Pick{Pool: "go", Version: r.pool.Spec.Version}
				r.refuses(func(changes []lifecycle.Change, m prewarm.Member) error {
					if strings.HasPrefix(m.Claim.Key, "bad") {
						return refusal(changes, m)
					}
					return nil
				})
				claims := []prewarm.Claim{{Key: "1", Owner: "ann", Details: "good"}, {Key: "bad", Owner: "ann", Details: "bad"}, {Key: "3", Owner: "ann", Details: "better"}}
				grants, err := r.w.ClaimMembers(r.t.Context(), time.Now(), pick, claims)
				r.must(err)
				for i, want := range []prewarm.GrantResult{prewarm.GrantNew, prewarm.GrantRefused, prewarm.GrantNew} {
					if grants[i].Result != want || want == prewarm.GrantRefused && !errors.Is(grants[i].Err, errKept) {
						t.Errorf("claim %d: %+v", i, grants[i])
					}
				}
				grants, err = r.w.ClaimMembers(r.t.Context(), time.Now(), pick, []prewarm.Claim{{Key: "4", Owner: "ann", Details: "best"}, {Key: "5", Owner: "ann", Details: "last"}})
				r.must(err)
				for i, g := range grants {
					if g.Result != prewarm.GrantNew {
						t.Errorf("claim %d of the members that are left: %+v", i, g)
					}
				}
				r.consistent()
			})
		})
	}
}

// However many claims of a call are refused, the others are answered.
func TestManyClaimsThatAreRefused(t *testing.T) {
	for how, refusal := range naming {
		t.Run(how, func(t *testing.T) {
			bubble(t, 30, func(r *rig) { r.pool.Spec.Ceiling = 30 }, func(r *rig) {
				pick := prewarm.Pick{Pool: "go", Version: r.pool.Spec.Version}
				r.refuses(func(changes []lifecycle.Change, m prewarm.Member) error {
					if strings.HasPrefix(m.Claim.Key, "bad") {
						return refusal(changes, m)
					}
					return nil
				})
				var claims []prewarm.Claim
				for i := range 12 {
					claims = append(claims, prewarm.Claim{Key: fmt.Sprint("bad", i), Owner: "ann", Details: fmt.Sprint("bad", i)})
				}
				claims = append(claims, prewarm.Claim{Key: "good", Owner: "ann", Details: "good"})
				grants, err := r.w.ClaimMembers(r.t.Context(), time.Now(), pick, claims)
				r.must(err)
				for i, g := range grants {
					if want := map[bool]prewarm.GrantResult{true: prewarm.GrantRefused, false: prewarm.GrantNew}[i < 12]; g.Result != want {
						t.Errorf("claim %d: %+v", i, g)
					}
				}
			})
		})
	}
}

// Where the store is not to be reached, no claim and no member is to blame.
func TestClaimOfAStoreThatIsUnavailable(t *testing.T) {
	bubble(t, 4, nil, func(r *rig) {
		pick := prewarm.Pick{Pool: "go", Version: r.pool.Spec.Version}
		tries := 0
		r.refuses(func([]lifecycle.Change, prewarm.Member) error { tries++; return lifecycle.ErrUnavailable })
		claims := []prewarm.Claim{{Key: "1", Owner: "ann", Details: "one"}, {Key: "2", Owner: "ann", Details: "two"}}
		if _, err := r.w.ClaimMembers(r.t.Context(), time.Now(), pick, claims); !errors.Is(err, lifecycle.ErrUnavailable) || tries != 1 {
			t.Errorf("error %v after %d tries", err, tries)
		}
	})
}

// A pair of a member and its workspace that cannot be written keeps nothing else of the call from being written, and what was written is no
// error.
func TestPutOfAPairThatIsRefused(t *testing.T) {
	bubble(t, 4, nil, func(r *rig) {
		pick := prewarm.Pick{Pool: "go", Version: r.pool.Spec.Version}
		grants, err := r.w.ClaimMembers(r.t.Context(), time.Now(), pick, []prewarm.Claim{{Key: "1", Owner: "ann", Details: "one"}, {Key: "2", Owner: "ann", Details: "two"}})
		r.must(err)
		plain := r.members(prewarm.Ready)[0]
		plain.Message = "written"
		changes := []prewarm.Change{{}, {}, {Member: plain}}
		for i, g := range grants { // both are given back
			m := g.Member
			m.Claim, m.State, m.Reason, m.Deadline = prewarm.Claim{}, prewarm.Ready, prewarm.ReasonAbandoned, time.Time{}
			changes[i].Member = m
		}
		kept := changes[0].Member.ID
		r.refuses(func(_ []lifecycle.Change, m prewarm.Member) error {
			if m.ID == kept {
				return errKept
			}
			return nil
		})
		applied, err := r.w.PutMembers(r.t.Context(), nil, changes)
		if want := []bool{false, true, true}; err != nil || !slices.Equal(applied, want) {
			t.Errorf("applied %v, error %v, want %v", applied, err, want)
		}
		if _, err := r.w.PutMembers(r.t.Context(), nil, changes[:1]); !errors.Is(err, errKept) || !strings.Contains(err.Error(), kept.String()) {
			t.Errorf("alone: error %v", err)
		}
	})
}
