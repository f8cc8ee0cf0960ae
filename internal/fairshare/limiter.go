package fairshare

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/quartz"
)

// Limiter lets users wait for their turns. All methods are safe for concurrent use; those of nil hold nobody back. See [New].
type Limiter[K comparable] struct {
	clock quartz.Clock
	// lone is who alone is there. What it does is not counted, since nobody is held back because of it. Nil while others are there.
	lone atomic.Pointer[K]

	mu       sync.Mutex
	accounts *Accounts[K]
}

// New returns a limiter for users who may each use share seconds a second while others are there; share must be above 0.
func New[K comparable](clock quartz.Clock, share float64) *Limiter[K] {
	return &Limiter[K]{clock: clock, accounts: NewAccounts[K](share)}
}

// Use is a call under way. The zero value is one that is not counted.
type Use[K comparable] struct {
	limiter *Limiter[K]
	call    *Call[K]
	// Delayed is for how long it had to wait.
	Delayed time.Duration
}

// Enter waits until a user may make a call, or for ctx, whose error it returns. [Use.Leave] has to follow.
func (l *Limiter[K]) Enter(ctx context.Context, key K) (Use[K], error) {
	if l.free(key) {
		return Use[K]{}, nil
	}
	begun := l.clock.Now()
	c, again, ok := l.join(key)
	u := Use[K]{limiter: l, call: c}
	if ok {
		return u, nil
	}
	if err := l.wait(ctx, c, again); err != nil {
		return Use[K]{}, err
	}
	u.Delayed = l.clock.Since(begun)
	l.Delay(key)
	return u, nil
}

// Leave says that the call is over.
func (u Use[K]) Leave() {
	if u.call == nil {
		return
	}
	l := u.limiter
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock.Now()
	l.see(u.call.user.key, now) // somebody else may have been alone meanwhile
	l.accounts.End(u.call, now)
}

// Seen notes that a user is there, which counts for the others. It is for calls that are not held back.
func (l *Limiter[K]) Seen(key K) {
	if l.free(key) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.see(key, l.clock.Now())
}

// Spend counts time that a call has taken which was not held back.
func (l *Limiter[K]) Spend(key K, d time.Duration) {
	if l.free(key) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock.Now()
	l.see(key, now)
	l.accounts.Spend(key, d, now)
}

// Pause is for how long a user is beyond its share if it does nothing meanwhile, at most a third of a second.
func (l *Limiter[K]) Pause(key K) time.Duration {
	if l.free(key) {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.accounts.Pause(key, l.clock.Now())
}

// Delay counts a call that waited for a pause, see [Limiter.Pause]. Those that wait in [Limiter.Enter] are counted there.
func (l *Limiter[K]) Delay(key K) {
	if l.free(key) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.accounts.Delay(key, l.clock.Now())
}

// Delayed is how many calls of each user had to wait since it last had all of its budget, of those who have not.
func (l *Limiter[K]) Delayed() map[K]int64 {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.accounts.Delayed(l.clock.Now())
}

// free reports whether a user is alone.
func (l *Limiter[K]) free(key K) bool {
	if l == nil {
		return true
	}
	lone := l.lone.Load()
	return lone != nil && *lone == key
}

// see notes that a user is there. The caller holds the lock.
func (l *Limiter[K]) see(key K, now time.Time) {
	if lone := l.lone.Load(); lone != nil && *lone != key {
		l.lone.Store(nil)
		l.accounts.Seen(*lone, now) // or a little before: nobody has counted
	}
	l.accounts.Seen(key, now)
	if l.accounts.Alone(key, now) {
		lone := key // the address of key itself would cost each call an allocation
		l.lone.Store(&lone)
	}
}

// join puts a call into line, and lets it go if it may at once.
func (l *Limiter[K]) join(key K) (c *Call[K], again time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock.Now() // read under the lock: for the accounts time must not go back
	l.see(key, now)
	c = l.accounts.Join(key, now)
	again, ok = l.accounts.Begin(c, now)
	return c, again, ok
}

// wait waits for a call's turn.
func (l *Limiter[K]) wait(ctx context.Context, c *Call[K], again time.Duration) error {
	for ok := false; !ok; {
		if err := l.pause(ctx, c, again); err != nil {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.accounts.Leave(c)
			return err
		}
		l.mu.Lock()
		again, ok = l.accounts.Begin(c, l.clock.Now())
		l.mu.Unlock()
	}
	return nil
}

// pause waits for d, or until the call is told that it may be its turn.
func (l *Limiter[K]) pause(ctx context.Context, c *Call[K], d time.Duration) error {
	var over <-chan time.Time
	if d < never {
		timer := l.clock.NewTimer(d, "share")
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-c.told:
	case <-over:
	}
	return nil
}
