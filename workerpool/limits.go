package workerpool

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/dormouse-go/dormouse/invalid"
)

// Limits are what a plan must keep to.
type Limits struct {
	// Types that can be had.
	Types []InstanceType
	// MaxWorkers bounds the workers of all types. Zero: no limit.
	MaxWorkers int
	// MaxPrice bounds the sum of their prices, an hour. Zero: no limit.
	MaxPrice float64
	// MaxCreating bounds the create calls in flight. Zero: no limit.
	MaxCreating int
	// MaxJobs bounds the jobs that run or are about to. Zero: no limit.
	MaxJobs int
	// PriceFactor is how much dearer than the cheapest suitable type a type may be. Defaults to 1.5.
	PriceFactor float64
	// IdleTimeout is how long a worker must have been unneeded before it is shut down for that.
	IdleTimeout time.Duration
	// ScaleInDelay is how long after the creation of the newest worker of a type none of that type is shut down for
	// being unneeded.
	ScaleInDelay time.Duration
	// Victim orders the workers that may be shut down; the first ones go first. Defaults to [DefaultVictim].
	Victim func(a, b *Worker) int
	// Pauses restrict what may be created now.
	Pauses []Pause
}

// Pause keeps types from being created for a while.
type Pause struct {
	// Key names it: what [Pool.TryNow] takes.
	Key string
	// Types it concerns; empty: all.
	Types []string
	// Reason is quota, capacity, rate_limit, create_failed, boot_failed or commands_hang.
	Reason Reason
	// Since is when it began, Until when it ends; both are zero for commands that hang, which is over when some return.
	Since, Until time.Time
	// Allow is how many creates are allowed all the same: trials, after Until.
	Allow int
	// Text is the provider's error, or says what hangs.
	Text string
}

// DefaultVictim is the usual order in which workers are shut down: those that boot before those that are idle, of those
// that boot the youngest first, since least is lost, and of those that are idle the longest idle first.
func DefaultVictim(a, b *Worker) int {
	if a.State != b.State {
		return cmp.Compare(rank(a.State), rank(b.State))
	}
	order := a.IdleSince.Compare(b.IdleSince)
	if a.State == Booting {
		order = b.CreatedAt.Compare(a.CreatedAt)
	}
	return cmp.Or(order, cmp.Compare(a.ID, b.ID))
}

func rank(s State) int {
	if s == Booting {
		return 0
	}
	return int(s)
}

const defaultPriceFactor = 1.5

func (l Limits) withDefaults() Limits {
	if l.PriceFactor == 0 {
		l.PriceFactor = defaultPriceFactor
	}
	if l.Victim == nil {
		l.Victim = DefaultVictim
	}
	return l
}

// Validate refuses limits that make no sense, as an [*invalid.Error].
func (l Limits) Validate() error {
	seen := make(map[string]bool, len(l.Types))
	for i := range l.Types {
		field := fmt.Sprintf("Types[%d]", i)
		if err := l.Types[i].validate(field); err != nil {
			return err
		}
		if seen[l.Types[i].Name] {
			return invalid.New(field+".Name", l.Types[i].Name, "must not occur twice")
		}
		seen[l.Types[i].Name] = true
	}
	err := cmp.Or(
		invalid.Count("MaxWorkers", l.MaxWorkers),
		invalid.Count("MaxCreating", l.MaxCreating),
		invalid.Count("MaxJobs", l.MaxJobs),
		invalid.Duration("IdleTimeout", l.IdleTimeout),
		invalid.Duration("ScaleInDelay", l.ScaleInDelay),
	)
	switch {
	case err != nil:
		return err
	case !(l.MaxPrice >= 0):
		return invalid.New("MaxPrice", l.MaxPrice, "must not be negative")
	case l.PriceFactor != 0 && !(l.PriceFactor >= 1) || math.IsInf(l.PriceFactor, 0):
		return invalid.New("PriceFactor", l.PriceFactor, "must be 1 or more")
	}
	return l.validateWarm()
}

// validateWarm refuses what is to be kept ready and may never exist.
func (l Limits) validateWarm() error {
	for i := range l.Types {
		t := &l.Types[i]
		most, of := t.Max, "the type's Max"
		if l.MaxWorkers > 0 && (most == 0 || l.MaxWorkers < most) {
			most, of = l.MaxWorkers, "MaxWorkers"
		}
		for n, w := range t.Warm {
			field := fmt.Sprintf("Types[%d].Warm[%d].", i, n)
			switch spare := workersFor(w.Spare, t.Room.Slots); {
			case most == 0:
			case w.Floor > most:
				return invalid.New(field+"Floor", w.Floor, "must not be above %s, %d", of, most)
			case spare > int64(most):
				return invalid.New(field+"Spare", w.Spare, "must not take more workers than %s, %d", of, most)
			}
		}
	}
	return nil
}

// workersFor is how many workers have so many slots.
func workersFor(slots int, each int64) int64 { return (int64(slots) + each - 1) / each }

// dearer reports whether a price is above a bound. Sums and products of prices such as 0.1 are off by their last digit, which
// must not cost the last worker that a budget is meant for.
func dearer(price, bound float64) bool { return price > bound*(1+1e-9) }

// byPrice are the places of the types in the order in which they are tried: the cheapest first, at one price the one with
// the most room.
func byPrice(types []InstanceType) []int {
	order := make([]int, len(types))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		a, b := &types[i], &types[j]
		return cmp.Or(cmp.Compare(a.Price, b.Price), cmp.Compare(b.Room.Memory, a.Room.Memory),
			cmp.Compare(b.Room.CPU, a.Room.CPU), cmp.Compare(b.Room.Disk, a.Room.Disk),
			cmp.Compare(b.Room.Slots, a.Room.Slots), cmp.Compare(a.Name, b.Name))
	})
	return order
}

// suitable are the types, in the given order, that can run a job and are not much dearer than the cheapest of them.
func suitable(types []InstanceType, order []int, factor float64, j *Job) []int {
	var list []int
	for _, i := range order {
		if len(list) > 0 && dearer(types[i].Price, factor*types[list[0]].Price) {
			break
		}
		if types[i].suits(j) {
			list = append(list, i)
		}
	}
	return list
}
