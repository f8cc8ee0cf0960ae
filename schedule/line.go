package schedule

import (
	"strings"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/dormouse-go/dormouse/invalid"
)

// maxLines bounds what a schedule costs to show, and in compatibility mode to ask.
const maxLines = 32

// line is one line of a schedule.
type line struct {
	spec   string // the five fields, separated by single spaces
	fields *cron.SpecSchedule
}

// allBits masks the values of a parsed field; the top bit only says that it was written with a star.
const allBits = 1<<63 - 1

func (l *line) minutes() uint64 { return l.fields.Minute & allBits }
func (l *line) hours() uint64   { return l.fields.Hour & allBits }

// sundayFirst returns the weekdays, Sunday in bit 0.
func (l *line) sundayFirst() uint64 { return l.fields.Dow & allBits }

func (l *line) days() Days {
	d := l.sundayFirst()
	return Days(d>>1|d<<6) & AllDays
}

// reading returns how the line is read: as an interval if it selects all 24 hours.
func (l *line) reading(dst DST) reading {
	if everyHour := l.hours() == 1<<24-1; everyHour || dst == DSTCompat {
		return clock
	}
	return once
}

func parseLine(k kind, text string, fields []string, loc *time.Location) (line, error) {
	if len(fields) != fieldCount {
		return line{}, invalid.New("spec", text,
			"must have five fields (minute, hour, day-of-month, month, day-of-week) after an optional %s<zone>, not %d",
			zonePrefix, len(fields))
	}
	if err := checkFields(k, text, fields); err != nil {
		return line{}, err
	}
	parsed, err := parseFields(text, fields)
	if err != nil {
		return line{}, err
	}
	parsed.Location = loc
	return line{spec: strings.Join(fields, " "), fields: parsed}, nil
}

// checkFields holds the rules of ours that the parser does not know, and keeps
// from it what it would take for a zone or a descriptor.
func checkFields(k kind, text string, fields []string) error {
	for i, f := range fields {
		if strings.ContainsAny(f, "=@") {
			return invalid.New("spec", text, "%s %q is not a cron field; descriptors and zone prefixes other than %s are not accepted",
				fieldNames[i], f, zonePrefix)
		}
		if literalStar(k, i) && f != "*" {
			return invalid.New("spec", text, "%s must be \"*\", not %q", fieldNames[i], f)
		}
		if k == daily && i <= fieldHour && !singleValue(f) {
			return invalid.New("spec", text, "%s must be a single value, not %q", fieldNames[i], f)
		}
	}
	return nil
}

func literalStar(k kind, field int) bool {
	return field == fieldDayOfMonth || field == fieldMonth || (k == daily && field == fieldDayOfWeek)
}

func singleValue(field string) bool {
	for _, r := range field {
		if r < '0' || r > '9' {
			return false
		}
	}
	return len(field) <= 2
}

// parseFields leaves the fields themselves to the parser of robfig/cron.
func parseFields(text string, fields []string) (*cron.SpecSchedule, error) {
	parser := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)
	days := withoutWrap(fields[fieldDayOfWeek])
	parsed, err := parser.Parse(strings.Join(fields[:fieldDayOfWeek], " ") + " " + days)
	if err != nil {
		return nil, invalid.New("spec", text, "%v", err)
	}
	spec, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return nil, invalid.New("spec", text, "is not made of cron fields")
	}
	for i, bits := range [...]uint64{fieldMinute: spec.Minute, fieldHour: spec.Hour, fieldDayOfWeek: spec.Dow} {
		if i != fieldDayOfMonth && i != fieldMonth && bits&allBits == 0 {
			return nil, invalid.New("spec", text, "%s %q selects nothing, so the schedule would never fire", fieldNames[i], fields[i])
		}
	}
	return spec, nil
}
