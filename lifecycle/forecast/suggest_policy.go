package forecast

import (
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast/internal/text"
)

// PolicySuggestion is a policy for a template at a stated pain, with the figures that argue for it. Nothing is applied:
// give Policy to a policy plan.
type PolicySuggestion struct {
	Policy lifecycle.Policy `json:"policy"`
	// Met says that the policy keeps to the pain asked for; otherwise it is the one that hurts least.
	Met bool `json:"met"`
	// Now is what the fleet does as it is, Then what it would do. Others are the candidates that no other beats.
	Now    Result   `json:"now"`
	Then   Result   `json:"then"`
	Others []Result `json:"others"`
}

// The values that are tried.
var (
	triedTTLs    = []time.Duration{time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour, 12 * time.Hour}
	triedBumps   = []time.Duration{30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour}
	triedDormant = []time.Duration{7 * 24 * time.Hour, 14 * 24 * time.Hour, 30 * 24 * time.Hour}
)

// SuggestPolicy proposes TTL, activity bump and dormancy for a template: those with the fewest hours at which no larger
// share of sessions than pain has to wait or is cut off, on the activity that the members bring. Everything else of the
// policy stays. The members are those of the template; they are kept in memory. It simulates 80 candidates.
func SuggestPolicy(fleet iter.Seq[Member], current lifecycle.Policy, pain float64, from, until time.Time, c SimulateConfig) (PolicySuggestion, error) {
	if pain < 0 || pain > 1 {
		return PolicySuggestion{}, invalid.New("pain", pain, "must be between 0 and 1")
	}
	members := slices.Collect(fleet)
	candidates := []Candidate{{Name: "as it is"}}
	policies := []lifecycle.Policy{current}
	for _, ttl := range triedTTLs {
		for _, bump := range triedBumps {
			for _, dormant := range append([]time.Duration{current.TimeTilDormant}, triedDormant...) {
				p := current
				p.DefaultTTL, p.ActivityBump, p.TimeTilDormant = ttl, bump, dormant
				k, err := WithPolicy(fmt.Sprintf("ttl %s, bump %s, dormant %s", text.Span(ttl), text.Span(bump), text.Span(dormant)), p, from)
				if err != nil {
					return PolicySuggestion{}, err
				}
				candidates, policies = append(candidates, k), append(policies, p)
			}
		}
	}
	s, err := Simulate(slices.Values(members), from, until, candidates, c)
	if err != nil {
		return PolicySuggestion{}, err
	}
	for i := range s.Results {
		s.Results[i].ByHour = nil // a report of 80 is not for that
	}
	best := PolicySuggestion{Now: s.Results[0], Others: s.Frontier()}
	best.Then = best.Others[len(best.Others)-1]
	for _, r := range best.Others {
		if r.Pain() <= pain {
			best.Then, best.Met = r, true
			break
		}
	}
	for i, r := range s.Results {
		if r.Name == best.Then.Name {
			best.Policy = policies[i]
		}
	}
	return best, nil
}

// String argues for the policy in a sentence.
func (s PolicySuggestion) String() string {
	p := &s.Policy
	line := fmt.Sprintf("TTL %s, bump %s, dormant after %s: %.0f h instead of %.0f h; %.1f %% of sessions wait or are cut off instead of %.1f %%",
		text.Span(p.DefaultTTL), text.Span(p.ActivityBump), text.Span(p.TimeTilDormant), s.Then.Hours, s.Now.Hours, 100*s.Then.Pain(), 100*s.Now.Pain())
	if !s.Met {
		line += "; no policy that was tried keeps to what was asked for"
	}
	return line
}
