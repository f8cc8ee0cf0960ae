// Package harm is what tests share that do harm to real processes: for how long, decided by which seed, and a test binary
// that is also the process it starts.
//
//	go test ./internal/e2e/chaos                                      some seconds; twenty seconds where the environment has CI set
//	go test -v -timeout 0 ./internal/e2e/chaos -harm.duration 10m     as long as asked, with what was done
//	go test ./internal/e2e/chaos -harm.seed 42                        the same harm in the same order again
//
// A seed decides what the test does, not what the machine makes of it: a failure that needs a rare moment may want more
// than one run of its seed.
package harm

import (
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
)

// Duration is how long to do harm.
var Duration = flag.Duration("harm.duration", defaultDuration(os.Getenv("CI")), "how long to do harm")

var seed = flag.Uint64("harm.seed", 0, "what decides when which harm is done, and to which ids; 0 for a new one")

// defaultDuration is short for people, who wait for it, and long enough for many losses where machines do. Every CI system
// sets CI.
func defaultDuration(ci string) time.Duration {
	if ci != "" && ci != "false" {
		return 20 * time.Second
	}
	return 10 * time.Second
}

// patience is how much longer than asked harm goes on for the sake of its worth. It is far from what any machine needs, and a
// run that gets nothing done in it says so before the deadline of its package.
const patience = 5 * time.Minute

// Do does harm again and again: for a time, and until the run has been worth something. How much happens in a time is up to
// the machine, which may be busy, so the time alone proves nothing; a test still judges the worth itself afterwards.
func Do(d time.Duration, hurt func(), worth func() bool) {
	begun := time.Now()
	for time.Since(begun) < d || !worth() && time.Since(begun) < d+patience {
		hurt()
	}
}

// chosen is the seed of this run, the same for all of its tests.
var chosen = sync.OnceValue(func() uint64 {
	if *seed == 0 {
		return rand.Uint64()
	}
	return *seed
})

// Random returns what decides the harm of a test, and says how to get the same again. It says so at once and past the log
// of the test, which is lost if the test hangs until its time is over.
func Random(t *testing.T) *rand.Rand {
	t.Helper()
	folder, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	name, _, _ := strings.Cut(t.Name(), "/")
	fmt.Fprintf(os.Stderr, "%s again: go test -race -timeout 0 ./internal/e2e/%s -run '^%s$' -harm.duration %v -harm.seed %d\n",
		t.Name(), filepath.Base(folder), name, *Duration, chosen())
	return rand.New(rand.NewPCG(chosen(), 0))
}

// ID returns an id that the seed decides, for what is spread by its id.
func ID(random *rand.Rand) (id uuid.UUID) {
	binary.BigEndian.PutUint64(id[:8], random.Uint64())
	binary.BigEndian.PutUint64(id[8:], random.Uint64())
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80 // version 4
	return id
}
