package schedule

import (
	"time"

	"github.com/dormouse-go/dormouse/invalid"
)

// DST is the policy for local times that a change of the zone's clock skips or
// repeats. See the package comment for both policies in full.
type DST uint8

const (
	// DSTOnce fires every local time once: a skipped one at the first instant
	// after the gap, a repeated one when it is first shown. It is the default.
	DSTOnce DST = iota
	// DSTCompat does what robfig/cron does: a skipped time is left out, a
	// repeated one fires twice.
	DSTCompat
)

// String returns the policy's name.
func (d DST) String() string {
	switch d {
	case DSTOnce:
		return "once"
	case DSTCompat:
		return "compat"
	}
	return "unknown"
}

// Options are the choices that a schedule leaves to the host. The zero value is
// the default policy.
type Options struct {
	// DST is the policy for skipped and repeated local times. Defaults to DSTOnce.
	DST DST
	// Zone is the name of the time zone of a text that names none. Stored texts
	// stay as they were submitted, so another Zone gives them another meaning;
	// [Cron.String] always names the zone. The host's own zone "Local" is refused.
	// Defaults to UTC.
	Zone string
}

// Validate refuses an unknown policy, and a zone that is the host's own or not in
// the time zone database. A host calls it once; parsers call it for what they use.
func (o Options) Validate() error {
	if err := o.validateDST(); err != nil {
		return err
	}
	_, err := o.location("", "", nil)
	return err
}

func (o Options) validateDST() error {
	if o.DST > DSTCompat {
		return invalid.New("Options.DST", uint8(o.DST), "must be DSTOnce or DSTCompat")
	}
	return nil
}

// location loads the zone that a text names, or else that of the options. field
// and text are what an error about the former speaks of.
func (o Options) location(field, text string, named *string) (*time.Location, error) {
	switch {
	case named != nil:
		return loadZone(field, text, *named)
	case o.Zone != "":
		return loadZone("Options.Zone", o.Zone, o.Zone)
	}
	return time.UTC, nil
}
