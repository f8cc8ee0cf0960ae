package schedule

import "time"

// BumpInput is everything that the effect of activity on a deadline depends on.
type BumpInput struct {
	// Now is when the activity was seen.
	Now time.Time
	// Deadline and MaxDeadline are those of the running build. Zero is none.
	Deadline, MaxDeadline time.Time
	// Bump is the template's extension per activity. Zero: activity extends nothing.
	Bump time.Duration
	// TTL is the workspace's, or the template's where users may not choose. Zero is none.
	TTL time.Duration
	// NextAutostart is the next autostart if its day is allowed. Zero is none.
	NextAutostart time.Time
}

// Bump returns the deadline after activity, and whether it moved.
//
// Activity moves the deadline to at least Bump from now, never past the max
// deadline and never back, and only once 5 % of the extension have been used up. A
// deadline that has passed still moves. When the extension would reach past the
// next autostart, the deadline is that autostart plus TTL, and without a TTL it
// does not move. Nor does it move out of the years 1 to 9999. Bump and TTL are cut to whole seconds.
func Bump(in BumpInput) (deadline time.Time, changed bool) {
	extension := in.extension()
	if in.Deadline.IsZero() || extension <= 0 {
		return in.Deadline, false
	}
	// Strictly: at exactly 5 % nothing moves. Most activity ends here, without a write.
	const used = 20
	if !in.Deadline.Add(-(extension - extension/used)).Before(in.Now) {
		return in.Deadline, false
	}
	deadline = in.Now.Round(0).Add(extension)
	if !in.MaxDeadline.IsZero() && in.MaxDeadline.Before(deadline) {
		deadline = in.MaxDeadline
	}
	if !deadline.After(in.Deadline) || !withinLimit(deadline.Unix()) {
		return in.Deadline, false
	}
	return deadline, true
}

// extension returns how far from now the deadline should be, zero for not at all.
func (in BumpInput) extension() time.Duration {
	bump := in.Bump.Truncate(time.Second)
	if bump <= 0 {
		return 0
	}
	if !in.NextAutostart.After(in.Now) || !in.Now.Add(bump).After(in.NextAutostart) {
		return bump
	}
	ttl := in.TTL.Truncate(time.Second)
	if ttl <= 0 {
		return 0
	}
	return in.NextAutostart.Sub(in.Now) + ttl
}
