package forecast

import (
	"fmt"
	"strings"
	"time"
)

// Text is the outlook as a table, a line for each day.
func (o Outlook) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-16s %22s %8s %8s %8s %8s\n", "day (UTC)", "most at once (band)", "starts", "stops", "herd", "workers")
	for first := 0; first < len(o.Hours); {
		day := o.Hours[first].At.Format(time.DateOnly)
		var most Band
		var starts, stops, herd, workers float64
		i := first
		for ; i < len(o.Hours) && o.Hours[i].At.Format(time.DateOnly) == day; i++ {
			h := &o.Hours[i]
			if h.Most.Mean >= most.Mean {
				most = h.Most
			}
			starts += h.Starts.Mean
			stops += h.Stops.Mean
			herd, workers = max(herd, h.Herd.High), max(workers, h.Workers.High)
		}
		fmt.Fprintf(&b, "%-16s %8.0f %13s %8.0f %8.0f %8.0f %8.0f\n", o.Hours[first].At.Format("Mon 2 Jan 2006"), most.Mean,
			fmt.Sprintf("(%.0f-%.0f)", most.Low, most.High), starts, stops, herd, workers)
		first = i
	}
	return b.String()
}

// Text is the simulation as a table, a line for each candidate.
func (s Simulation) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-32s %10s %7s %7s %7s %7s %8s %8s %6s %10s\n",
		"candidate", "ran h", "saved", "pain", "cold", "cut off", "dormant", "deleted", "herd", "cost")
	for _, r := range s.Results {
		fmt.Fprintf(&b, "%-32s %10.0f %6.1f%% %6.1f%% %7d %7d %8d %8d %6d %10.2f\n",
			r.Name, r.Hours+r.PoolHours, 100*r.Saved(), 100*r.Pain(), r.waits(), r.Interrupted, r.Dormancies, r.Deletions, r.Herd, r.Cost)
	}
	return b.String()
}
