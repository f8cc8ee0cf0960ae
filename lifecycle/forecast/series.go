package forecast

import (
	"sync/atomic"
	"time"
)

// series counts, minute by minute, what a fleet does. Several goroutines may write at once; what they write are sums, so
// the order does not matter.
type series struct {
	from    time.Time
	running []int32 // by how much the number changes in a minute
	jobs    []int32
	starts  []int32 // builds made
	stops   []int32
}

func newSeries(from, until time.Time) *series {
	n := int((until.Sub(from) + time.Minute - 1) / time.Minute)
	return &series{from, make([]int32, n+1), make([]int32, n+1), make([]int32, n+1), make([]int32, n+1)}
}

// minute is the place of an instant, the last one for what is after the end.
func (s *series) minute(t time.Time) int {
	return min(max(int(t.Sub(s.from)/time.Minute), 0), len(s.running)-1)
}

func (s *series) add(counts []int32, t time.Time, n int32) { atomic.AddInt32(&counts[s.minute(t)], n) }

// span counts one more from an instant until another.
func (s *series) span(counts []int32, from, until time.Time) {
	s.add(counts, from, 1)
	s.add(counts, until, -1)
}

// Hour is what a fleet does in one hour.
type Hour struct {
	At time.Time `json:"at"`
	// Running is the average number of running workspaces, Most the most at once.
	Running float64 `json:"running"`
	Most    int     `json:"most"`
	// Starts and Stops are the builds that are made, deletions among the stops, Herd the most in one minute.
	Starts int `json:"starts"`
	Stops  int `json:"stops"`
	Herd   int `json:"herd"`
	// Workers is the most jobs at once: how many workers it takes for none to wait.
	Workers int `json:"workers"`
}

// hours sums the minutes up. The last hour may be shorter.
func (s *series) hours() []Hour {
	minutes := len(s.running) - 1
	all := make([]Hour, 0, (minutes+59)/60)
	var running, jobs int32
	for first := 0; first < minutes; first += 60 {
		end := min(first+60, minutes)
		h := Hour{At: s.from.Add(time.Duration(first) * time.Minute)}
		total := 0
		for m := first; m < end; m++ {
			running += s.running[m]
			jobs += s.jobs[m]
			total += int(running)
			h.Most, h.Workers = max(h.Most, int(running)), max(h.Workers, int(jobs))
			h.Starts += int(s.starts[m])
			h.Stops += int(s.stops[m])
			h.Herd = max(h.Herd, int(s.starts[m]+s.stops[m]))
		}
		h.Running = float64(total) / float64(end-first)
		all = append(all, h)
	}
	return all
}
