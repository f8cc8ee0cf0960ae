package storetest

import (
	"testing"

	"github.com/dormouse-go/dormouse/prewarm"
)

// Members checks a store of pools against the contract of [prewarm.Store]. It calls open for each test; every call must
// return an empty store of its own. A failure begins with the rule that was broken.
//
// The suite claims and puts from many goroutines at once and is meant to be run with -race too.
func Members(t *testing.T, open func(t *testing.T) prewarm.Store) {
	for _, group := range []struct {
		name  string
		tests []memberTest
	}{
		{"Claim", memberClaimTests},
		{"Put", memberPutTests},
		{"Query", memberQueryTests},
		{"Watch", memberWatchTests},
		{"Races", memberRaceTests},
	} {
		t.Run(group.name, func(t *testing.T) {
			for _, test := range group.tests {
				t.Run(test.name, func(t *testing.T) {
					within(t, Options{}.withDefaults(), func(t *testing.T) {
						k := newMemberKit(t, open(t))
						check := k.neighbourMembers()
						test.run(k)
						check()
					})
				})
			}
		})
	}
}

type memberTest struct {
	name string
	run  func(k *memberKit)
}
