package schedule

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
