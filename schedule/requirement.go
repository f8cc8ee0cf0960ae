package schedule

import (
	"time"

	"github.com/dormouse-go/dormouse/invalid"
)

// MaxRequirementWeeks is the longest period of an autostop requirement.
const MaxRequirementWeeks = 16

// Requirement is a template's autostop requirement: the weekdays, and how many
// weeks apart, on which its workspaces must be stopped in their owner's quiet
// hours. The zero value requires nothing.
type Requirement struct {
	// Days are the required weekdays. None: no requirement.
	Days Days
	// Weeks is the period: 1 is every week, 2 every other week, and so on up to
	// [MaxRequirementWeeks], counted from Monday 2023-01-02. Defaults to 1.
	Weeks int
}

// Validate refuses weekdays that do not exist and periods out of range.
func (r Requirement) Validate() error {
	if err := r.Days.Validate(); err != nil {
		return invalid.As("Requirement.Days", err)
	}
	if r.Weeks < 0 || r.Weeks > MaxRequirementWeeks {
		return invalid.New("Requirement.Weeks", r.Weeks, "must be between 0 and %d", MaxRequirementWeeks)
	}
	return nil
}

// firstWeek is Monday 2023-01-02, from which weeks are counted, in days since 1970-01-01.
const firstWeek = 19359

// firstDay returns the first day, not before day, that is a required weekday in a
// week of the requirement.
func (r Requirement) firstDay(day int64) (int64, error) {
	if r.Days&AllDays == 0 {
		return 0, invalid.New("Requirement.Days", r.Days.String(), "must have a day of the week")
	}
	if r.Weeks > 1 && day < firstWeek {
		return 0, invalid.New("AutostopInput.CompletedAt", dateOf(day), "must not be before 2023-01-02, from which the weeks of a requirement are counted")
	}
	for !r.Days.Has(weekdayOf(day)) || r.inWeek(day) != day {
		day = r.inWeek(day + 1)
	}
	return day, nil
}

// inWeek returns the first day, not before day, that lies in a week of the
// requirement: day itself, or the Monday of the next such week.
func (r Requirement) inWeek(day int64) int64 {
	weeks := max(1, int64(r.Weeks))
	week := (day - firstWeek) / 7
	if week%weeks == 0 {
		return day
	}
	return firstWeek + (week/weeks+1)*weeks*7
}

func dateOf(day int64) string {
	return time.Unix(day*secondsPerDay, 0).UTC().Format(time.DateOnly)
}
