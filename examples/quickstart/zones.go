package main

import (
	"fmt"
	"time"
	_ "time/tzdata" // the replay is the same on a machine without time zones
)

// places are the zones an author may live in, the likelier ones first. Schedules need named zones, because a name knows
// when its clock changes and an offset does not; half-hour offsets have no other names at all (Etc/GMT has whole hours).
var places = []string{
	"Europe/Berlin", "America/New_York", "America/Los_Angeles", "Europe/London", "Asia/Kolkata", "Asia/Shanghai",
	"America/Chicago", "America/Denver", "Europe/Athens", "America/Sao_Paulo", "Asia/Tokyo", "Australia/Sydney", "UTC",
	"Europe/Istanbul", "Asia/Jerusalem", "Africa/Lagos", "Africa/Johannesburg", "Africa/Nairobi", "America/Bogota",
	"America/Phoenix", "America/Halifax", "America/Caracas", "Asia/Karachi", "Asia/Jakarta", "Asia/Dubai", "Asia/Dhaka",
	"Australia/Brisbane", "Pacific/Auckland", "Asia/Tehran", "Asia/Kathmandu", "Asia/Yangon", "Australia/Adelaide",
	"Australia/Darwin", "America/St_Johns", "America/Anchorage", "Pacific/Honolulu", "Pacific/Noumea", "Pacific/Fiji",
	"Atlantic/Azores", "Atlantic/Cape_Verde", "America/Noronha", "Pacific/Marquesas", "Asia/Kabul",
}

// atlas is the places, loaded.
type atlas []*time.Location

func newAtlas() (atlas, error) {
	var a atlas
	for _, name := range places {
		loc, err := time.LoadLocation(name)
		if err != nil {
			return nil, fmt.Errorf("load zone: %w", err)
		}
		a = append(a, loc)
	}
	return a, nil
}

// home is the name of the zone an author lives in. It shows the offset the author's commits show most; of the zones that
// do, it is the one whose clock agrees with most of the commits, so that a clock that was changed in March tells New York
// from Bogotá, and a journey does not move the home.
func (a atlas) home(commits []time.Time) (string, error) {
	usual := usualOffset(commits)
	best, name := 0, ""
	for _, loc := range a {
		agreed, shown := 0, false
		for _, c := range commits {
			if _, own := c.Zone(); offset(c.In(loc)) == own {
				agreed++
				shown = shown || own == usual
			}
		}
		if shown && agreed > best {
			best, name = agreed, loc.String()
		}
	}
	if name != "" {
		return name, nil
	}
	if usual%3600 != 0 || usual < -12*3600 || usual > 14*3600 {
		return "", fmt.Errorf("offset %s: no zone has it", commits[0].Format("-07:00"))
	}
	return fmt.Sprintf("Etc/GMT%+d", -usual/3600), nil // its sign is that of POSIX: west is positive
}

// usualOffset is the offset most commits have, in seconds; of several the one seen first.
func usualOffset(commits []time.Time) int {
	count := map[int]int{}
	for _, c := range commits {
		count[offset(c)]++
	}
	best := offset(commits[0])
	for _, c := range commits {
		if count[offset(c)] > count[best] {
			best = offset(c)
		}
	}
	return best
}

func offset(t time.Time) int {
	_, seconds := t.Zone()
	return seconds
}
