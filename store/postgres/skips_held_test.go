package postgres_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/prewarm"
)

// A claim takes what stands behind a job that somebody holds, and waits neither for that one nor for where the number claimed last is
// kept.
func TestClaimBesideALockedJob(t *testing.T) {
	for name, c := range map[string]struct {
		lanes  int
		limits queue.Limits
		want   []int
	}{
		"of one lane":      {lanes: 1, want: []int{1, 2}},
		"of several lanes": {lanes: 2, want: []int{1, 2}},
		"within limits":    {lanes: 1, limits: queue.Limits{PerTenant: 9}, want: []int{1, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			s, pool := open(t)
			process, org := uuid.New(), uuid.New()
			_, err := s.Heartbeat(t.Context(), queue.Heartbeat{Process: process, Now: epoch})
			must(t, err)
			var ids []uuid.UUID
			claim := queue.Claim{Process: process, Now: epoch, Limits: c.limits}
			for i := range 4 {
				jobs, err := s.Enqueue(t.Context(), epoch, []queue.Posting{
					{ID: uuid.New(), Organization: org, Tenant: org, Type: []string{"build", "scan"}[i%c.lanes]},
				})
				must(t, err)
				ids = append(ids, jobs[0].ID)
				if i < c.lanes {
					claim.Probes = append(claim.Probes, queue.Probe{Lane: jobs[0].Lane()})
				}
			}
			take := func(workers int) (taken []int) {
				t.Helper()
				claim.Token, claim.Workers = uuid.New(), make([]uuid.UUID, workers)
				for i := range claim.Workers {
					claim.Workers[i] = uuid.New()
				}
				got, err := s.Claim(soon(t), claim)
				must(t, err)
				for _, j := range got.Jobs {
					taken = append(taken, slices.Index(ids, j.ID))
				}
				return taken
			}
			release := holds(t, pool, `SELECT FROM dormouse.jobs WHERE id = $1 FOR UPDATE`, ids[0])
			if got := take(2); !slices.Equal(got, c.want) {
				t.Errorf("claimed %v, want %v", got, c.want)
			}
			release()
			release = holds(t, pool, `SELECT FROM dormouse.claimed FOR UPDATE`)
			left := slices.DeleteFunc([]int{0, 1, 2, 3}, func(i int) bool { return slices.Contains(c.want, i) })
			if got := take(4); !slices.Equal(got, left) {
				t.Errorf("claimed %v, want %v", got, left)
			}
			release()
		})
	}
}

// A claim within limits, and one that a refusal of the host is in the way of, go on behind what somebody holds: that takes no worker's
// place, nor its tenant's.
func TestChosenJobsBesideALockedJob(t *testing.T) {
	for name, c := range map[string]struct {
		limits              queue.Limits
		workers             int
		refused, held, want []int
		limited             bool
	}{
		"within limits":                {limits: queue.Limits{PerTenant: 9}, workers: 1, held: []int{0, 1}, want: []int{2}},
		"a limit leaves room for one":  {limits: queue.Limits{PerTenant: 1}, workers: 2, held: []int{0}, want: []int{1}, limited: true},
		"all are held":                 {limits: queue.Limits{PerTenant: 9}, workers: 2, held: []int{0, 1, 2, 3}},
		"behind one that is refused":   {workers: 1, refused: []int{0}, held: []int{1}, want: []int{2}},
		"refused, held, within limits": {limits: queue.Limits{PerTenant: 1}, workers: 2, refused: []int{0}, held: []int{1}, want: []int{2}, limited: true},
	} {
		t.Run(name, func(t *testing.T) {
			s, pool := open(t)
			claim := newLine(t, s, 1)
			takeJobs(t, s, claim, 1)
			p := queue.Posting{Organization: claim.Probes[0].Lane.Organization, Tenant: uuid.New(), Type: "build"}
			waiting, err := s.Enqueue(t.Context(), epoch, []queue.Posting{p, p, p, p})
			must(t, err)
			ids := func(places []int) (ids []uuid.UUID) {
				for _, i := range places {
					ids = append(ids, waiting[i].ID)
				}
				return ids
			}
			for _, id := range ids(c.refused) {
				exec(t, pool, hostTrigger("UPDATE", "jobs", "new.id = '"+id.String()+"'", refusals["raises"]))
			}
			defer holds(t, pool, `SELECT FROM dormouse.jobs WHERE id = ANY ($1) FOR UPDATE`, ids(c.held))()
			claim.Token, claim.Limits = uuid.New(), c.limits
			for range c.workers {
				claim.Workers, claim.Secrets = append(claim.Workers, uuid.New()), append(claim.Secrets, queue.NewSecret().Hash())
			}
			got, err := s.Claim(soon(t), claim)
			must(t, err)
			var claimed []uuid.UUID
			for _, j := range got.Jobs {
				claimed = append(claimed, j.ID)
			}
			if !slices.Equal(claimed, ids(c.want)) || got.Limited != c.limited || len(got.Refused) != len(c.refused) {
				t.Errorf("claimed %v, limited %v, refused %v; want %v, %v, %v", claimed, got.Limited, got.Refused, ids(c.want), c.limited, ids(c.refused))
			}
		})
	}
}

// Jobs turn ready beside one that somebody holds.
func TestReadyBesideALockedJob(t *testing.T) {
	s, pool := open(t)
	var ids []uuid.UUID
	org := uuid.New()
	for range 3 {
		jobs, err := s.Enqueue(t.Context(), epoch, []queue.Posting{{ID: uuid.New(), Organization: org, Type: "build", NotBefore: epoch.Add(time.Minute)}})
		must(t, err)
		ids = append(ids, jobs[0].ID)
	}
	ready := func() int {
		t.Helper()
		listing, err := s.Ready(soon(t), epoch.Add(time.Minute), queue.ReadyQuery{CountTo: 10})
		must(t, err)
		return listing.Lanes[0].Count
	}
	release := holds(t, pool, `SELECT FROM dormouse.jobs WHERE id = $1 FOR UPDATE`, ids[0])
	if n := ready(); n != 2 {
		t.Errorf("%d are ready, want 2", n)
	}
	release()
	if n := ready(); n != 3 {
		t.Errorf("afterwards %d are ready, want 3", n)
	}
}

// Pruning leaves numbers of tenants and of organizations, and a tag set that no job has, for the next time if somebody holds them.
func TestPruneBesideLockedNumbers(t *testing.T) {
	s, pool := open(t)
	step := queue.FairOrder(0, 0, 1)
	lives := uuid.New()
	_, err := s.Enqueue(t.Context(), epoch, []queue.Posting{{ID: uuid.New(), Organization: lives, Tenant: uuid.New(), Type: "build"}})
	must(t, err)
	exec(t, pool, `INSERT INTO dormouse.claimed VALUES ($1, 0, 5), ($1, 0, $2), ($1, 1, 5)`, lives, 100*step)
	exec(t, pool, `INSERT INTO dormouse.turns VALUES ($1, 0, gen_random_uuid(), $2, 1), ($1, 0, gen_random_uuid(), $2 + 1, 1)`, lives, 99*step)
	exec(t, pool, `INSERT INTO dormouse.claimed VALUES (gen_random_uuid(), 0, 5)`)
	exec(t, pool, `INSERT INTO dormouse.turns VALUES (gen_random_uuid(), 0, gen_random_uuid(), 5, 1)`)
	exec(t, pool, `INSERT INTO dormouse.tag_sets (canon) VALUES ('nobody has it')`)
	prune := func(hour, claimed, turns, retired int) {
		t.Helper()
		_, err := s.PruneJobs(soon(t), epoch.Add(time.Duration(hour)*time.Hour), 10)
		must(t, err)
		if c, n := count(t, pool, "claimed"), count(t, pool, "turns"); c != claimed || n != turns {
			t.Errorf("hour %d: %d numbers of organizations and %d of tenants are left, want %d and %d", hour, c, n, claimed, turns)
		}
		if n := count(t, pool, "tag_sets WHERE retired_at IS NOT NULL"); n != retired {
			t.Errorf("hour %d: %d tag sets are retired, want %d", hour, n, retired)
		}
	}
	var releases []func()
	for _, table := range []string{"claimed", "turns", "tag_sets"} {
		releases = append(releases, holds(t, pool, `SELECT FROM dormouse.`+table+` FOR UPDATE`))
	}
	prune(0, 4, 4, 0)
	for _, release := range releases {
		release()
	}
	// Gone are those of the organization without jobs, the number below the one claimed last, and the tenants that are a whole step behind it.
	prune(1, 2, 1, 1)
}

// A mark that somebody holds keeps no others.
func TestMarksBesideALockedMark(t *testing.T) {
	s, pool := open(t)
	held, one, two := newFleet(t, s, 1), newFleet(t, s, 1), newFleet(t, s, 1)
	exec(t, pool, `UPDATE dormouse.workspaces SET wake_at = NULL`)
	for _, f := range []*fleet{held, one, two} {
		exec(t, pool, `INSERT INTO dormouse.marks (subject, owner, due_at, touched_at) VALUES ($1, false, $2, now() - interval '1 minute')`, f.template.ID, epoch)
	}
	release := holds(t, pool, `SELECT FROM dormouse.marks WHERE subject = $1 FOR UPDATE`, held.template.ID)
	wantDue(t, s, epoch, one.ids[0], two.ids[0])
	release()
	wantDue(t, s, epoch, held.ids[0], one.ids[0], two.ids[0])
	if n := count(t, pool, "marks"); n != 0 {
		t.Errorf("%d marks are left", n)
	}
}

// A mark that somebody holds is worked off all the same, and goes when it is let go.
func TestMarkThatIsHeldMeanwhile(t *testing.T) {
	s, pool := open(t)
	f := newFleet(t, s, 2500) // more than a page
	exec(t, pool, `UPDATE dormouse.workspaces SET wake_at = NULL`)
	exec(t, pool, `INSERT INTO dormouse.marks (subject, owner, due_at, generation) VALUES ($1, false, $2, 6)`, f.template.ID, epoch)
	release := holds(t, pool, `SELECT FROM dormouse.marks WHERE subject = $1 FOR UPDATE`, f.template.ID)
	if err := s.WorkOff(soon(t), f.template.ID, epoch, 6); !errors.Is(err, lifecycle.ErrUnavailable) || !strings.Contains(err.Error(), `relation "marks"`) {
		t.Errorf("error %v, want one that says what is held", err)
	}
	var asleep int
	must(t, pool.QueryRow(t.Context(), `SELECT count(*) FROM dormouse.workspaces WHERE wake_at IS NULL`).Scan(&asleep))
	if asleep > 0 {
		t.Errorf("%d workspaces are not woken", asleep)
	}
	release()
	must(t, s.WorkOff(t.Context(), f.template.ID, epoch, 6))
	if n := count(t, pool, "marks"); n != 0 {
		t.Errorf("%d marks are left", n)
	}
}

// Members are given away beside one that somebody holds: one at a time, and several.
func TestClaimMembersBesideALockedMember(t *testing.T) {
	for _, n := range []int{1, 2} {
		s, pool := open(t)
		var changes []prewarm.Change
		for i := range 4 {
			changes = append(changes, prewarm.Change{Member: prewarm.Member{
				ID: uuid.New(), Pool: "p", Version: "v", State: prewarm.Ready, ReadyAt: epoch.Add(time.Duration(i) * time.Second),
			}})
		}
		_, err := s.PutMembers(t.Context(), nil, changes)
		must(t, err)
		release := holds(t, pool, `SELECT FROM dormouse.members WHERE id = $1 FOR UPDATE`, changes[0].Member.ID)
		var claims []prewarm.Claim
		for range n {
			claims = append(claims, prewarm.Claim{Key: uuid.NewString(), Owner: "ann"})
		}
		grants, err := s.ClaimMembers(soon(t), epoch, prewarm.Pick{Pool: "p", Version: "v"}, claims)
		must(t, err)
		for i, g := range grants {
			if g.Result != prewarm.GrantNew || g.Member.ID != changes[1+i].Member.ID {
				t.Errorf("claim %d of %d: %v of %s", i, n, g.Result, g.Member.ID)
			}
		}
		release()
	}
}

// Who finds its share does not wait for records of replicas that are gone.
func TestShardBesideLockedRecordsOfOthers(t *testing.T) {
	s, pool := open(t)
	replica := uuid.New()
	_, err := s.Shard(t.Context(), epoch, uuid.New(), time.Minute)
	must(t, err)
	attend := func(left int) {
		t.Helper()
		share, err := s.Shard(soon(t), epoch.Add(3*time.Hour), replica, time.Minute)
		must(t, err)
		if n := count(t, pool, "replicas"); share != (lifecycle.Shard{Index: 0, Count: 1}) || n != left {
			t.Errorf("share %v, %d records, want %d", share, n, left)
		}
	}
	release := holds(t, pool, `SELECT FROM dormouse.replicas FOR UPDATE`)
	attend(2)
	release()
	attend(1)
}
