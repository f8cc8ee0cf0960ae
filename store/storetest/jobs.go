package storetest

import (
	"testing"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// Jobs checks a store of jobs against the contract of [queue.Store]. It calls open for each test; every call
// must return an empty store of its own. A failure begins with the rule that was broken, in the words of the
// contract.
//
// The suite runs claims, ends and heartbeats from many goroutines at once and is meant to be run with -race too. Of the
// options it uses Goroutines, Unregister and Garble.
func Jobs(t *testing.T, open func(t *testing.T) queue.Store, o Options) {
	o = o.withDefaults()
	groups := []struct {
		name  string
		tests []jobTest
	}{
		{"Enqueue", jobEnqueueTests},
		{"Ready", jobReadyTests},
		{"Claim", jobClaimTests},
		{"Limits", jobLimitTests},
		{"Fairness", jobFairTests},
		{"Renew", jobRenewTests},
		{"End", jobEndTests},
		{"Handouts", jobHandoutTests},
		{"Cancel", jobCancelTests},
		{"Registry", jobRegistryTests},
		{"Inspect", jobInspectTests},
		{"Organizations", jobOrganizationTests},
		{"Directory", jobDirectoryTests},
		{"Unique", jobUniqueTests},
		{"Log", jobLogTests},
		{"List", jobListTests},
		{"Retry", jobRetryTests},
		{"Pause", jobPauseTests},
		{"Values", jobValueTests},
		{"Races", jobRaceTests},
	}
	for _, group := range groups {
		t.Run(group.name, func(t *testing.T) {
			for _, test := range group.tests {
				t.Run(test.name, func(t *testing.T) {
					within(t, o, func(t *testing.T) {
						k := newJobKit(t, open(t), o)
						if alone["jobs/"+group.name+"/"+test.name] {
							test.run(k)
							return
						}
						check := k.neighbourJobs()
						test.run(k)
						check()
					})
				})
			}
		})
	}
}

// jobTest is one test of the suite.
type jobTest struct {
	name string
	run  func(k *jobKit)
}
