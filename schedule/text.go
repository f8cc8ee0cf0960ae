package schedule

// The texts of this package's values, also in JSON. Writing a value loses nothing:
// for a stored schedule or dates that cannot be read, it is the text that was
// stored. Reading is for input, and refuses what cannot be read; a store keeps texts
// and reads them with an [Interner] and [ReadDates], which never fail.

// MarshalText implements encoding.TextMarshaler with [Cron.String]: the zone is
// named, so that the text means the same to a reader with another [Options.Zone].
// "" is no schedule. The policy for changes of the clock is not part of the text.
func (c *Cron) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler with [Weekly], which reads daily
// schedules too. "" gives the zero value. A text that cannot be read is refused and
// changes nothing; where it must not be an error, use an [Interner]. It must not be
// called on a schedule that is already shared.
func (c *Cron) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*c = Cron{}
		return nil
	}
	parsed, err := Weekly(string(text))
	if err != nil {
		return err
	}
	*c = *parsed
	return nil
}

// MarshalText implements encoding.TextMarshaler with [Dates.String].
func (d *Dates) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler with [ParseDates]. It must not be called on a value that is already shared.
func (d *Dates) UnmarshalText(text []byte) error {
	parsed, err := ParseDates(string(text))
	if err != nil {
		return err
	}
	*d = *parsed
	return nil
}

// MarshalText implements encoding.TextMarshaler with [Days.String]. It refuses
// an invalid set, which has no text that could be read back.
func (d Days) MarshalText() ([]byte, error) {
	if err := d.Validate(); err != nil {
		return nil, err
	}
	return []byte(d.String()), nil
}

// UnmarshalText implements encoding.TextUnmarshaler with [ParseDays].
func (d *Days) UnmarshalText(text []byte) error {
	parsed, err := ParseDays(string(text))
	if err != nil {
		return err
	}
	*d = parsed
	return nil
}

// MarshalText implements encoding.TextMarshaler with [Hours.String].
func (h Hours) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler with [ParseHours] and the
// default options.
func (h *Hours) UnmarshalText(text []byte) error {
	parsed, err := ParseHours(string(text), Options{})
	if err != nil {
		return err
	}
	*h = parsed
	return nil
}
