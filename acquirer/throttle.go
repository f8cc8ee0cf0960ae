package acquirer

import (
	"fmt"
	"time"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// throttle bounds how fast a job's log grows: what a worker says costs the time of a store that everybody uses.
type throttle struct {
	// spent is what the job said lately, in bytes and [lineCost] for each line, as of a time.
	spent   int
	at      time.Time
	dropped int
}

// admit returns the lines that are not too fast, in front of them a note about those that were.
func (t *throttle) admit(lines []queue.Line, now time.Time) (admitted []queue.Line) {
	if t.spent > 0 {
		t.spent = max(0, t.spent-int(now.Sub(t.at).Seconds()*logRate))
	}
	t.at = now
	if t.dropped > 0 && t.spent < logBurst {
		admitted = append(admitted, queue.Line{At: now, Text: fmt.Sprintf("%d lines came too fast and were dropped", t.dropped)})
		t.dropped = 0
	}
	for _, line := range lines {
		if t.spent >= logBurst {
			t.dropped++
			continue
		}
		t.spent += len(line.Text) + lineCost
		admitted = append(admitted, line)
	}
	return admitted
}
