// Package chaos_test runs real processes over one PostgreSQL, kills them, cuts their connections and restarts the server,
// and afterwards proves from the database alone that nothing was done twice, too early, or not at all.
//
//	go test ./chaos                                  about fifteen seconds
//	go test ./chaos -chaos.duration 60s -v           as long as asked, with what was done
//	go test ./chaos -chaos.seed 42                   the same kills, cuts and restarts again
package chaos_test

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"
)

var (
	duration = flag.Duration("chaos.duration", 10*time.Second, "how long to do harm")
	seed     = flag.Uint64("chaos.seed", 0, "what decides when which harm is done; 0 for a new one")
)

// roleEnv makes the test binary a replica.
const roleEnv = "DORMOUSE_CHAOS_REPLICA"

func TestMain(m *testing.M) {
	if text := os.Getenv(roleEnv); text != "" {
		if err := runReplica(text); err != nil {
			fmt.Fprintln(os.Stderr, "replica:", err)
			os.Exit(1)
		}
		return
	}
	flag.Parse()
	os.Exit(m.Run())
}
