package forecast

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/schedule"
)

// WorkingHours is a schedule learned from somebody's work: the workspace starts at a minute of certain hours on certain
// days and runs for an hour at a time, as long as the next hour is one of them or somebody is active. Whoever comes at
// another time starts it by hand.
type WorkingHours struct {
	Who  uuid.UUID      `json:"who"`
	Zone *time.Location `json:"-"`
	// Days and Hours are on the clock of the zone; of Hours bit 0 is the hour from midnight. Both empty: by hand only.
	Days  schedule.Days `json:"days"`
	Hours uint32        `json:"hours"`
	// Minute is the minute of each hour at which it starts.
	Minute int `json:"minute"`
}

// Any reports whether there are any hours.
func (w WorkingHours) Any() bool { return w.Days != 0 && w.Hours != 0 }

// Spec is the text of the autostart schedule, empty for none. It wants the TTL of [WorkingHours.TTL] and a policy with
// ExtendAtAutostart, so that an hour runs on into the next one.
func (w WorkingHours) Spec() string {
	if !w.Any() {
		return ""
	}
	var days []string
	for d := range 7 {
		if w.Days&(1<<d) != 0 {
			days = append(days, strconv.Itoa((d+1)%7))
		}
	}
	return fmt.Sprintf("CRON_TZ=%s %d %s * * %s", w.Zone, w.Minute, runs(w.Hours, func(from, to int) string {
		if from == to {
			return strconv.Itoa(from)
		}
		return fmt.Sprintf("%d-%d", from, to)
	}), strings.Join(days, ","))
}

// TTL is the run time that the schedule counts on: an hour, and a little more, because a stop that is due at the very
// instant of the next hour goes before the extension.
func (w WorkingHours) TTL() time.Duration { return 65 * time.Minute }

// String says the hours to people: "Mon-Thu 09:10-13:10, 14:10-18:10 (Europe/Berlin)".
func (w WorkingHours) String() string {
	if !w.Any() {
		return "by hand only"
	}
	return fmt.Sprintf("%s %s (%s)", w.Days, runs(w.Hours, func(from, to int) string {
		return fmt.Sprintf("%02d:%02d-%02d:%02d", from, w.Minute, to+1, w.Minute)
	}), w.Zone)
}

// runs lists the stretches of hours in a set.
func runs(hours uint32, show func(from, to int) string) string {
	var parts []string
	for hours != 0 {
		from := bits.TrailingZeros32(hours)
		to := from + bits.TrailingZeros32(^(hours >> from)) - 1
		parts = append(parts, show(from, to))
		hours &^= 1<<(to+1) - 1
	}
	return strings.Join(parts, ",")
}
