package schedule

import (
	"strings"
	"time"

	"github.com/robfig/cron/v3"

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
	if o.DST > DSTCompat {
		return nil, invalid.New("Options.DST", uint8(o.DST), "must be DSTOnce or DSTCompat")
	}
	zoneName, fields, err := split(text)
	if err != nil {
		return nil, err
	}
	if err := checkFields(k, text, fields); err != nil {
		return nil, err
	}
	loc, err := loadZone("spec", text, zoneName)
	if err != nil {
		return nil, err
	}
	spec, err := parseFields(k, text, fields)
	if err != nil {
		return nil, err
	}
	spec.Location = loc
	if zones == nil {
		zones = newZone
	}
	return newCron(text, strings.Join(fields, " "), spec, zones(loc), o), nil
}

// split takes the zone, "UTC" when there is none, and the five fields from the text.
func split(text string) (zoneName string, fields []string, err error) {
	if len(text) > maxText {
		return "", nil, invalid.New("spec", text, "must not be longer than %d bytes", maxText)
	}
	fields, zoneName = strings.Fields(text), "UTC"
	if strings.HasPrefix(text, zonePrefix) {
		zoneName, fields = fields[0][len(zonePrefix):], fields[1:]
	}
	if len(fields) != fieldCount {
		return "", nil, invalid.New("spec", text,
			"must have five fields (minute, hour, day-of-month, month, day-of-week) after an optional %s<zone>, not %d",
			zonePrefix, len(fields))
	}
	return zoneName, fields, nil
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

// loadZone loads a zone by name. The host's own zone is refused under each of
// its names: a stored schedule must mean the same on every host.
func loadZone(field, text, name string) (*time.Location, error) {
	if name == "Local" || name == "localtime" {
		return nil, invalid.New(field, text, "the zone must not be the host's own (%q)", name)
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return nil, invalid.New(field, text, "the zone %q is not in the time zone database (%v)", name, err)
	}
	return loc, nil
}

// parseFields leaves the fields themselves to the parser of robfig/cron.
func parseFields(k kind, text string, fields []string) (*cron.SpecSchedule, error) {
	parser := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)
	parsed, err := parser.Parse(strings.Join(fields, " "))
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

// allBits masks the values of a parsed field; the top bit only says that it was written with a star.
const allBits = 1<<63 - 1
