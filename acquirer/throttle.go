package acquirer

import (
	"strings"
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

// admit returns the lines, as a worker sent them, that are not too fast, and how many were since the last that was admitted. It
// looks at no more of them than their length and their breaks.
func (t *throttle) admit(lines []queue.Line, now time.Time) (admitted []queue.Line, dropped int) {
	if t.spent > 0 {
		t.spent = max(0, t.spent-int(now.Sub(t.at).Seconds()*logRate))
	}
	t.at = now
	if t.spent < logBurst {
		dropped, t.dropped = t.dropped, 0
	}
	for i, line := range lines {
		if t.spent >= logBurst {
			t.dropped += len(lines) - i
			return lines[:i], dropped
		}
		t.spent += len(line.Text) + lineCost*(1+strings.Count(line.Text, "\n"))
	}
	return lines, dropped
}
