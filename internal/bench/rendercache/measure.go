package rendercache

import (
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/bench/meter"
	"github.com/dormouse-go/dormouse/rendercache"
)

// workers is how many goroutines ask at once.
const workers = 8

// shared runs f on all workers and returns the CPU time of one of n operations.
func shared(n int, f func(worker int)) float64 {
	before := meter.Process()
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() { f(w) })
	}
	wg.Wait()
	return float64(meter.Process()-before) / float64(n)
}

// alone runs f n times and returns the CPU time of one.
func alone(n int, f func(i int)) float64 {
	before := meter.Process()
	for i := range n {
		f(i)
	}
	return float64(meter.Process()-before) / float64(n)
}

// compare returns the median of a's values over b's, round by round.
func compare(a, b []float64) float64 {
	ratios := make([]float64, len(a))
	for i := range a {
		ratios[i] = a[i] / b[i]
	}
	return meter.Median(ratios)
}

// keysOf returns n keys of 64 bytes, as builds have them: 200 to a version, 20 to an owner.
func keysOf(n int) []rendercache.Key {
	random := rand.NewChaCha8([32]byte{1})
	versions, owners := ids(random, n/200+1), ids(random, n/20+1)
	keys := make([]rendercache.Key, n)
	for i := range keys {
		keys[i] = rendercache.KeyOf(versions[i%len(versions)], owners[i%len(owners)], map[string]string{"n": fmt.Sprint(i)})
	}
	return keys
}

func ids(random *rand.ChaCha8, n int) []uuid.UUID {
	all := make([]uuid.UUID, n)
	for i := range all {
		_, _ = random.Read(all[i][:])
	}
	return all
}

// zipf returns an order of asking for n keys in which some are much more popular, the popular ones anywhere.
func zipf(n, length int) []uint32 {
	random := rand.New(rand.NewPCG(1, uint64(n)))
	z := rand.NewZipf(random, 1.01, 1, uint64(n-1))
	places := random.Perm(n)
	order := make([]uint32, length)
	for i := range order {
		order[i] = uint32(places[z.Uint64()])
	}
	return order
}
