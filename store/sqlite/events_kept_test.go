package sqlite_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// claimEvents claims events of a topic until there are no more, a few at a time, and returns what each claim got.
func (p *pruned) claimEvents(now time.Time, limit int) (claims [][]int64) {
	p.Helper()
	for {
		events, err := p.s.ClaimEvents(p.Context(), now, []lifecycle.Topic{lifecycle.TopicAudit}, time.Hour, limit)
		must(p.T, err)
		if len(events) == 0 {
			return claims
		}
		var seqs []int64
		for _, e := range events {
			seqs = append(seqs, e.Seq)
		}
		claims = append(claims, seqs)
	}
}

// twoEventsEach stores two events of each of n workspaces: those of the first are 1 and 2.
func (p *pruned) twoEventsEach(n int) {
	p.Helper()
	for range n {
		workspace := uuid.New()
		for range 2 {
			p.exec(`INSERT INTO dormouse_events (topic, workspace_id, body) VALUES (?, ?, CAST('{}' AS BLOB))`, int64(lifecycle.TopicAudit), workspace[:])
		}
	}
}

func keepEvents(event, condition, refusal string) string {
	return fmt.Sprintf(`CREATE TRIGGER host_%[1]s BEFORE %[1]s ON dormouse_events WHEN %[2]s BEGIN %[3]s; END`, event, condition, refusal)
}

// An event that the host keeps from being claimed keeps no other workspace's, however many of them stand in front, and is named. Those
// behind it in its workspace wait for it.
func TestClaimsBesideEventsThatTheHostKeeps(t *testing.T) {
	for how, refusal := range refusals {
		t.Run(how, func(t *testing.T) {
			p := newPruned(t)
			p.twoEventsEach(15)
			p.exec(keepEvents("UPDATE", "old.seq <= 14", refusal))
			claims := p.claimEvents(killEpoch, 3)
			got := slices.Sorted(slices.Values(slices.Concat(claims...)))
			if want := []int64{15, 17, 19, 21, 23, 25, 27, 29}; !slices.Equal(got, want) || len(claims) != 3 || !slices.IsSorted(claims[0]) {
				t.Errorf("claimed %d, want three times a few of %d", claims, want)
			}
			if said := p.log.String(); !strings.Contains(said, "events cannot be claimed") || !strings.Contains(said, "first=\"1: ") {
				t.Errorf("log: %s", said)
			}
			p.exec(`DROP TRIGGER host_UPDATE`)
			got = slices.Sorted(slices.Values(slices.Concat(p.claimEvents(killEpoch.Add(time.Minute), 3)...)))
			if want := []int64{1, 3, 5, 7, 9, 11, 13}; !slices.Equal(got, want) {
				t.Errorf("afterwards claimed %d, want %d", got, want)
			}
		})
	}
}

// An event that the host keeps from being settled keeps no other, is named, and is delivered again when its lease ends.
func TestSettlingBesideEventsThatTheHostKeeps(t *testing.T) {
	for how, refusal := range refusals {
		t.Run(how, func(t *testing.T) {
			p := newPruned(t)
			p.twoEventsEach(6)
			p.claimEvents(killEpoch, 6)
			p.exec(keepEvents("UPDATE", "old.seq IN (1, 5)", refusal))
			p.exec(keepEvents("DELETE", "old.seq = 9", refusal))
			soon := killEpoch.Add(time.Minute)
			must(t, p.s.SettleEvents(t.Context(), killEpoch, []lifecycle.Delivery{
				{Seq: 1, RetryAt: soon}, {Seq: 3, RetryAt: soon}, {Seq: 5, RetryAt: soon, Untried: true}, {Seq: 7, RetryAt: soon, Untried: true}, {Seq: 9}, {Seq: 11},
			}))
			if said := p.log.String(); !strings.Contains(said, "rows=3") || !strings.Contains(said, "first=\"1: ") {
				t.Errorf("log: %s", said)
			}
			p.exec(`DROP TRIGGER host_UPDATE`)
			got := slices.Concat(p.claimEvents(soon, 6)...)
			if want := []int64{3, 7, 12}; !slices.Equal(got, want) {
				t.Errorf("claimed %d, want %d", got, want)
			}
			got = slices.Concat(p.claimEvents(killEpoch.Add(time.Hour), 6)...)
			if want := []int64{1, 5, 9}; !slices.Equal(got, want) {
				t.Errorf("when their lease has ended are claimed %d, want %d", got, want)
			}
		})
	}
}
