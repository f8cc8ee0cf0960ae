package schedule

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dormouse-go/dormouse/invalid"
)

const (
	zonePrefix = "CRON_TZ="

	// maxText bounds a schedule's text. Every minute, hour and weekday written
	// out in full takes less than 300 bytes.
	maxText = 1024
)

type kind uint8

const (
	weekly kind = iota
	daily
)

func (k kind) String() string {
	if k == daily {
		return "daily schedule"
	}
	return "weekly schedule"
}

const (
	fieldMinute = iota
	fieldHour
	fieldDayOfMonth
	fieldMonth
	fieldDayOfWeek
	fieldCount
)

var fieldNames = [fieldCount]string{"minute", "hour", "day-of-month", "month", "day-of-week"}

// parse reads a schedule's text. zones may be nil; otherwise it hands out the
// zone of a name, so that schedules of one zone share what was found out about it.
func parse(k kind, text string, o Options, zones func(*time.Location) *zone) (*Cron, error) {
	if err := o.validateDST(); err != nil {
		return nil, err
	}
	named, rows, err := split(k, text)
	if err != nil {
		return nil, err
	}
	loc, err := o.location("spec", text, named)
	if err != nil {
		return nil, err
	}
	var lines []line
	for i, fields := range rows {
		l, err := parseLine(k, text, fields, loc)
		if err != nil {
			return nil, inLine(i, len(rows), err)
		}
		if !slices.ContainsFunc(lines, func(other line) bool { return other.spec == l.spec }) {
			lines = append(lines, l)
		}
	}
	if zones == nil {
		zones = newZone
	}
	return newCron(text, lines, zones(loc), o), nil
}

// split takes the zone, nil if none is named, and the fields of each line from the text.
func split(k kind, text string) (zone *string, rows [][]string, err error) {
	if len(text) > maxText {
		return nil, nil, invalid.New("spec", text, "must not be longer than %d bytes", maxText)
	}
	first := true
	for raw := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == '\n' || r == ';' }) {
		fields := strings.Fields(raw)
		if len(fields) == 0 {
			continue
		}
		name, prefixed := strings.CutPrefix(fields[0], zonePrefix)
		switch {
		case first && strings.HasPrefix(raw, zonePrefix):
			zone, fields = &name, fields[1:]
		case !first && prefixed && (zone == nil || *zone != name):
			return nil, nil, invalid.New("spec", text, "must have one zone for all lines, named before the first")
		case !first && prefixed:
			fields = fields[1:]
		}
		if alone := first && zone != nil && len(fields) == 0; !alone {
			rows = append(rows, fields)
		}
		first = false
	}
	switch {
	case len(rows) == 0:
		rows = [][]string{nil} // is refused for its number of fields
	case len(rows) > maxLines:
		return nil, nil, invalid.New("spec", text, "must not have more than %d lines", maxLines)
	case k == daily && len(rows) > 1:
		return nil, nil, invalid.New("spec", text, "must be one line: there is one time of day")
	}
	return zone, rows, nil
}

// inLine says in which of several lines a rule is broken.
func inLine(i, lines int, err error) error {
	var refusal *invalid.Error
	if lines == 1 || !errors.As(err, &refusal) {
		return err
	}
	in := *refusal
	in.Rule = fmt.Sprintf("line %d: %s", i+1, in.Rule)
	return &in
}

// loadZone loads a zone by name. The host's own zone is refused under each of
// its names: a stored schedule must mean the same on every host.
func loadZone(field, text, name string) (*time.Location, error) {
	switch name {
	case "":
		return nil, invalid.New(field, text, "the zone must not be empty")
	case "Local", "localtime":
		return nil, invalid.New(field, text, "the zone must not be the host's own (%q)", name)
	}
	for segment := range strings.SplitSeq(name, "/") {
		// "./localtime" and "Europe//Berlin" are files of some hosts, and no names of zones.
		if segment == "" || segment == "." || segment == ".." || strings.HasPrefix(segment, ".") {
			return nil, invalid.New(field, text, "the zone %q is not in the time zone database", name)
		}
	}
	loc, err := time.LoadLocation(name)
	if err != nil { // which repeats the name as it is
		return nil, invalid.New(field, text, "the zone %q is not in the time zone database", name)
	}
	return loc, nil
}
