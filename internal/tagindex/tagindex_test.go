package tagindex_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/tagindex"
)

func randomTags(random *rand.Rand) map[string]string {
	tags := make(map[string]string)
	for range random.IntN(4) {
		tags[string(rune('a'+random.IntN(4)))] = string(rune('x' + random.IntN(2)))
	}
	if random.IntN(4) == 0 {
		tags["scope"], tags["owner"] = "user", string(rune('p'+random.IntN(2)))
	}
	return tags
}

// Whatever a domain can run is among the candidates, on both sides, also when some have left.
func TestCandidatesMissNothing(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	organizations := []uuid.UUID{{1}, {2}}
	for range 200 {
		var domains []queue.Domain
		var lanes []queue.Lane
		var byDomain tagindex.Domains[int]
		var byLane tagindex.Lanes[int]
		for i := range 30 {
			d, err := queue.NewDomain(organizations[random.IntN(2)], []string{"build"}, randomTags(random))
			if err != nil {
				t.Fatal(err)
			}
			set, _ := queue.NewTagSet(randomTags(random))
			l := queue.Lane{Organization: organizations[random.IntN(2)], Type: "build", Tags: set}
			domains, lanes = append(domains, d), append(lanes, l)
			byDomain.Add(d, i)
			byLane.Add(l, i)
		}
		gone := random.IntN(30)
		byDomain.Remove(domains[gone], gone)
		byLane.Remove(gone)
		for i, d := range domains {
			for k, l := range lanes {
				if !d.Runs(l) {
					continue
				}
				if found := contains(byDomain.Candidates(l), i); found != (i != gone) {
					t.Fatalf("domain %v for lane %v: found %v, removed %v", d, l, found, i == gone)
				}
				if found := contains(byLane.Candidates(d), k); found != (k != gone) {
					t.Fatalf("lane %v for domain %v: found %v, removed %v", l, d, found, k == gone)
				}
			}
		}
	}
}

func contains(seq func(func(int) bool), want int) (found bool) {
	for v := range seq {
		found = found || v == want
	}
	return found
}

// What differs in one tag is found without a look at the others, however many tags are common to all.
func TestCandidatesAreFew(t *testing.T) {
	t.Parallel()
	var byDomain tagindex.Domains[int]
	var byLane tagindex.Lanes[int]
	const n = 1000
	var domains [n]queue.Domain
	var lanes [n]queue.Lane
	for i := range n {
		tags := map[string]string{"os": "linux", "arch": "arm", "id": fmt.Sprint(i)}
		domains[i], _ = queue.NewDomain(uuid.Nil, []string{"build"}, tags)
		lanes[i] = queue.Lane{Type: "build", Tags: domains[i].Tags}
		byDomain.Add(domains[i], i)
		byLane.Add(lanes[i], i)
	}
	looked := 0
	for i := range n {
		for range byDomain.Candidates(lanes[i]) {
			looked++
		}
		for range byLane.Candidates(domains[i]) {
			looked++
		}
	}
	if looked > 6*n {
		t.Errorf("%d candidates for %d look-ups", looked, 2*n)
	}
}

func TestEmpty(t *testing.T) {
	t.Parallel()
	var byDomain tagindex.Domains[int]
	var byLane tagindex.Lanes[int]
	for range byDomain.Candidates(queue.Lane{}) {
		t.Error("a candidate")
	}
	for range byLane.Candidates(queue.Domain{}) {
		t.Error("a candidate")
	}
}
