package acquirer

import (
	"time"
)

const (
	// freeHangUps is how often in a row a worker may be gone when its job comes without waiting for that: a long poll that ends just
	// then is nobody's fault.
	freeHangUps = 3
	// hangUpsFor is for how long it is remembered how often a worker was gone.
	hangUpsFor = time.Minute
)

// hangUps counts how often in a row workers were gone when their jobs came. Each time costs two calls of the store, and the job comes
// later to whoever works. Guarded by Acquirer.mu.
type hangUps map[workerKey]hangUp

type hangUp struct {
	times int
	at    time.Time
}

// add notes that a worker was gone.
func (h hangUps) add(k workerKey, now time.Time) { h[k] = hangUp{h[k].times + 1, now} }

// pause is how long a worker has to wait until it may wait for a job.
func (h hangUps) pause(k workerKey, now time.Time) time.Duration {
	u := h[k]
	if u.times <= freeHangUps {
		return 0
	}
	return growing(u.times-freeHangUps-1) - now.Sub(u.at)
}

// forget drops what is long ago.
func (h hangUps) forget(now time.Time) {
	for k, u := range h {
		if now.Sub(u.at) > hangUpsFor {
			delete(h, k)
		}
	}
}
