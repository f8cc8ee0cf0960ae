// Package handoff_test lets real processes hand out jobs over one PostgreSQL, kills, freezes and cuts them off, loses their
// answers after the commit, and afterwards proves from the database alone that no job ran under two live leases, that none
// was lost, and that every fencing number was higher than the one before.
//
//	go test ./handoff                                   about fifteen seconds
//	go test ./handoff -handoff.duration 60s -v          as long as asked, with what was done
//	go test ./handoff -handoff.seed 42                  the same harm again, as far as the clock allows
package handoff_test

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"
)

var (
	duration = flag.Duration("handoff.duration", 8*time.Second, "how long to do harm")
	seed     = flag.Uint64("handoff.seed", 0, "what decides when which harm is done; 0 for a new one")
)

// roleEnv makes the test binary a process of the fleet.
const roleEnv = "DORMOUSE_HANDOFF_PROCESS"

func TestMain(m *testing.M) {
	if text := os.Getenv(roleEnv); text != "" {
		if err := runProcess(text); err != nil {
			fmt.Fprintln(os.Stderr, "process:", err)
			os.Exit(1)
		}
		return
	}
	flag.Parse()
	os.Exit(m.Run())
}
