package acquirertest

import (
	"slices"
	"time"

	"github.com/coder/quartz"
)

// WakeUpsOnly is a clock for an acquirer that must not help itself: it looks into the store when the first worker of an
// organization comes and never again for later ones, and it does not check whether its own messages come back. Together
// with a Config.Backup and a Config.Poll that never come, whatever a lost wake-up leaves behind stays, and a test sees it.
func WakeUpsOnly(c quartz.Clock) quartz.Clock { return wakeUpsOnly{c} }

type wakeUpsOnly struct{ quartz.Clock }

// never is beyond the end of every test.
const never = 1000 * time.Hour

func suppressed(tags []string) bool {
	return slices.Contains(tags, "look") || slices.Contains(tags, "ping")
}

// Now implements quartz.Clock: what is suppressed is planned from a time that does not come.
func (c wakeUpsOnly) Now(tags ...string) time.Time {
	now := c.Clock.Now(tags...)
	if suppressed(tags) {
		return now.Add(never)
	}
	return now
}

// Since implements quartz.Clock: the last time of what is suppressed was just now.
func (c wakeUpsOnly) Since(t time.Time, tags ...string) time.Duration {
	if suppressed(tags) {
		return 0
	}
	return c.Clock.Since(t, tags...)
}
