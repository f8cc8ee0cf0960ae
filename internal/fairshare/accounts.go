package fairshare

import (
	"container/list"
	"math"
	"time"
)

const (
	// presence is for how long somebody who has called counts as there. Who is not there leaves its share to the others.
	presence = time.Second

	// most is the budget of who has been quiet: what one may use at once without being held back.
	most = 100 * time.Millisecond

	// atOnce bounds the calls that one user has under way while others are there. It is not one, so that a long call does not stop
	// the short ones beside it.
	atOnce = 2

	// longestPause bounds how long a user waits after its last call has ended, however long that was.
	longestPause = 300 * time.Millisecond

	// keptUsers is how many users are remembered before those without anything to remember are looked for.
	keptUsers = 256

	// never is when a call is to ask again that will be told.
	never = time.Duration(math.MaxInt64)
)

// Accounts keeps what each user has left of its share. Its methods take the time, which must not go back. It is not safe for concurrent
// use. See [NewAccounts].
type Accounts[K comparable] struct {
	share float64
	users map[K]*user[K]
	// sweepAt is the number of users at which those are forgotten of whom there is nothing to remember.
	sweepAt int

	// latest is who was seen last, at latestAt, and othersAt is when one of all others was.
	latest             K
	latestAt, othersAt time.Time
	// waiting is the number of users with calls in line.
	waiting int
}

// user is one who has called of late.
type user[K comparable] struct {
	key K
	// left of the budget, as of at. It grows with the share and shrinks with each call that is under way.
	left time.Duration
	at   time.Time
	// under is the number of calls under way, and line holds the calls that wait.
	under int
	line  list.List // of *Call[K]
	// delayed counts the calls that had to wait since all of the budget was left.
	delayed int64
}

// Call is one call of a user, from [Accounts.Join] to [Accounts.End].
type Call[K comparable] struct {
	user  *user[K]
	place *list.Element // in line; nil outside
	// told is for whoever waits: it may have become this call's turn.
	told chan struct{}
}

// NewAccounts returns accounts of users who may each use share seconds a second while others are there. The share must be above 0.
func NewAccounts[K comparable](share float64) *Accounts[K] {
	return &Accounts[K]{share: share, users: make(map[K]*user[K]), sweepAt: keptUsers}
}

// Seen notes that a user is there.
func (a *Accounts[K]) Seen(key K, now time.Time) {
	if key != a.latest {
		a.latest, a.othersAt = key, a.latestAt
	}
	a.latestAt = now
}

// Alone reports whether nobody but a user was there of late.
func (a *Accounts[K]) Alone(key K, now time.Time) bool {
	_, alone := a.company(key, now)
	return alone
}

// company is for how long a user will not be alone, if nobody else is seen again. Whoever waits is there.
func (a *Accounts[K]) company(key K, now time.Time) (d time.Duration, alone bool) {
	others := a.waiting
	if u, known := a.users[key]; known && u.line.Len() > 0 {
		others--
	}
	if others > 0 {
		return presence, false
	}
	at := a.latestAt
	if key == a.latest {
		at = a.othersAt
	}
	if at.IsZero() {
		return 0, true
	}
	d = at.Add(presence).Sub(now)
	return d, d <= 0
}

// Join puts a call of a user into line. [Accounts.Begin] has to follow, and [Accounts.Leave] or [Accounts.End].
func (a *Accounts[K]) Join(key K, now time.Time) *Call[K] {
	a.Seen(key, now)
	u := a.user(key, now)
	c := &Call[K]{user: u, told: make(chan struct{}, 1)}
	c.place = u.line.PushBack(c)
	if u.line.Len() == 1 {
		a.waiting++
	}
	return c
}

func (a *Accounts[K]) user(key K, now time.Time) *user[K] {
	u, known := a.users[key]
	if !known {
		a.sweep(now)
		u = &user[K]{key: key, left: most, at: now}
		a.users[key] = u
	}
	return u
}

// Spend takes time off a user's budget for what did not wait in line.
func (a *Accounts[K]) Spend(key K, d time.Duration, now time.Time) {
	a.Seen(key, now)
	u := a.user(key, now)
	if _, alone := a.settle(u, now); !alone {
		u.left = max(u.left-d, a.least())
	}
}

// least is what a user has left at least: it bounds what is to be paid back.
func (a *Accounts[K]) least() time.Duration { return -time.Duration(a.share * float64(longestPause)) }

// Delay counts a call of a user that had to wait because it was beyond its share.
func (a *Accounts[K]) Delay(key K, now time.Time) { a.user(key, now).delayed++ }

// Delayed is how many calls of each user had to wait since it last had all of its budget, of those who have not. It costs a step for
// each user that is remembered.
func (a *Accounts[K]) Delayed(now time.Time) map[K]int64 {
	delayed := make(map[K]int64)
	for key, u := range a.users {
		if a.settle(u, now); u.delayed > 0 {
			delayed[key] = u.delayed
		}
	}
	return delayed
}

// Begin lets a call go if it is the first in line and its user is within its share, or alone. Otherwise it says when to ask again, if
// the call is not told before.
func (a *Accounts[K]) Begin(c *Call[K], now time.Time) (again time.Duration, ok bool) {
	u := c.user
	if u.line.Front() != c.place {
		return never, false
	}
	again, alone := a.settle(u, now)
	if !alone && (u.left <= 0 || u.under >= atOnce) {
		if u.under == 0 {
			again = min(again, a.due(u))
		}
		return again, false
	}
	a.unline(c)
	u.under++
	u.tellFirst()
	return 0, true
}

// End takes in that a call is over.
func (a *Accounts[K]) End(c *Call[K], now time.Time) {
	a.Seen(c.user.key, now)
	a.settle(c.user, now)
	c.user.under--
	c.user.tellFirst()
}

// Leave takes a call out of line that does not wait any longer.
func (a *Accounts[K]) Leave(c *Call[K]) {
	a.unline(c)
	c.user.tellFirst()
}

func (a *Accounts[K]) unline(c *Call[K]) {
	c.user.line.Remove(c.place)
	c.place = nil
	if c.user.line.Len() == 0 {
		a.waiting--
	}
}

// Pause is how long a user has to wait until it is within its share, if it makes no calls meanwhile.
func (a *Accounts[K]) Pause(key K, now time.Time) time.Duration {
	u, known := a.users[key]
	if !known {
		return 0
	}
	if _, alone := a.settle(u, now); alone || u.left > 0 {
		return 0
	}
	return a.due(u)
}

// due is when a user that has used up its budget and makes no calls is within its share again.
func (a *Accounts[K]) due(u *user[K]) time.Duration {
	return time.Duration(float64(-u.left)/a.share) + time.Microsecond
}

// settle brings what a user has left up to now, and says as company does for how long it is not alone. Who is alone owes nothing.
func (a *Accounts[K]) settle(u *user[K], now time.Time) (again time.Duration, alone bool) {
	again, alone = a.company(u.key, now)
	passed := now.Sub(u.at)
	u.at = now
	left := float64(u.left) + (a.share-float64(u.under))*float64(passed) // which no duration may be able to hold
	u.left = time.Duration(min(max(left, float64(a.least())), float64(most)))
	if alone {
		u.left = most
	}
	if u.left == most {
		u.delayed = 0
	}
	return again, alone
}

// tellFirst tells the call whose turn it may be.
func (u *user[K]) tellFirst() {
	if u.line.Len() == 0 {
		return
	}
	select {
	case u.line.Front().Value.(*Call[K]).told <- struct{}{}:
	default:
	}
}

// sweep forgets the users who have all of their budget and do nothing, once there are many.
func (a *Accounts[K]) sweep(now time.Time) {
	if len(a.users) < a.sweepAt {
		return
	}
	for key, u := range a.users {
		a.settle(u, now)
		if u.left == most && u.under == 0 && u.line.Len() == 0 {
			delete(a.users, key)
		}
	}
	a.sweepAt = max(keptUsers, 2*len(a.users))
}
