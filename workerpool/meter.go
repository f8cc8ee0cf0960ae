package workerpool

import (
	"math"
	"time"
)

// Cost is what the pool's workers have cost, by what they did, in the currency of the prices: since Run began, and before that
// what [Config.Spent] says. The parts add up to Total; Busy is the sum of what all jobs cost.
type Cost struct {
	Total float64
	// Booting is the time before a worker is ready, Idle the time without a job, Busy that with one, and Leaving that
	// between the request to go and the end.
	Booting, Idle, Busy, Leaving float64
	// PerHour is what the workers cost now.
	PerHour float64
	// At is the instant that the sums are of. In [Config.Spent] it lets the pool count on from there: for the workers that it
	// finds, what they have cost since; the zero value leaves that out.
	At time.Time
}

// use is what a worker's price is spent on.
type use uint8

const (
	useNone use = iota
	useBooting
	useIdle
	useBusy
	useLeaving

	uses = int(useLeaving) + 1
)

// useOf says what a worker's price is spent on. A pending worker costs nothing yet.
func useOf(w *Worker) use {
	switch {
	case w.State == Pending || w.State == Gone:
		return useNone
	case w.active() > 0:
		return useBusy
	case w.State == Unknown || w.State == Booting:
		return useBooting
	case w.State == Shutdown:
		return useLeaving
	}
	return useIdle
}

// meter adds up prices over time. Each change costs the same, however many workers there are.
type meter struct {
	rate, spent [uses]float64
	at          time.Time
}

// valid keeps out what is negative, no number, or so large that the sum is none.
func (c Cost) valid() bool {
	return c.Booting >= 0 && c.Idle >= 0 && c.Busy >= 0 && c.Leaving >= 0 && !math.IsInf(c.Booting+c.Idle+c.Busy+c.Leaving, 0)
}

// begin takes over what was spent before.
func (m *meter) begin(c Cost, now time.Time) {
	m.at = now
	m.spent[useBooting], m.spent[useIdle], m.spent[useBusy], m.spent[useLeaving] = c.Booting, c.Idle, c.Busy, c.Leaving
}

// found counts a worker that somebody else has created from the last note on, or from its creation. What it did nobody knows:
// like all time of a worker before it has answered, it was spent on booting.
func (m *meter) found(created, noted time.Time, price float64, now time.Time) {
	if noted.IsZero() {
		return
	}
	if created.After(noted) {
		noted = created
	}
	m.spent[useBooting] += price * max(now.Sub(noted).Hours(), 0)
}

func (m *meter) advance(now time.Time) {
	if hours := now.Sub(m.at).Hours(); hours > 0 {
		for i, rate := range m.rate {
			m.spent[i] += rate * hours
		}
		m.at = now
	}
}

// move changes what a worker's price is spent on.
func (m *meter) move(from, to use, price float64, now time.Time) {
	if from == to {
		return
	}
	m.advance(now)
	m.rate[from] -= price
	m.rate[to] += price
}

func (m *meter) cost(now time.Time) Cost {
	m.advance(now)
	c := Cost{Booting: m.spent[useBooting], Idle: m.spent[useIdle], Busy: m.spent[useBusy], Leaving: m.spent[useLeaving], At: now}
	c.Total = c.Booting + c.Idle + c.Busy + c.Leaving
	for _, rate := range m.rate[useBooting:] {
		c.PerHour += rate
	}
	return c
}

// shareCost gives a worker's jobs their equal parts of its price since an instant.
func shareCost(w *Worker, price float64, since, now time.Time) {
	n := w.active()
	if n == 0 || price == 0 || !now.After(since) {
		return
	}
	w.Jobs = w.copyJobs(0)
	for i := range w.Jobs {
		if w.Jobs[i].active() {
			w.Jobs[i].Cost += price * now.Sub(since).Hours() / float64(n)
		}
	}
}
