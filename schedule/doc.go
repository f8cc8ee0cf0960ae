// Package schedule holds the rules of time in the life of a workspace: when it
// starts by itself, when it has to stop, how far activity and people may move
// that, and on which dates nothing happens.
//
//   - [Weekly] and [Daily] parse cron schedules with a time zone, also of several
//     lines, into a [Cron], whose Next takes some tens of nanoseconds. An [Interner]
//     shares them.
//   - [ParseHours] reads working hours into [Hours], which give the schedules of the
//     starts and of the stops; [HoursOf] recognises such a pair.
//   - [NextAutostart] and [NextAllowedAutostart] find the next start.
//   - [Autostop] computes the deadlines of a build, [Bump] their change by activity.
//   - [ValidateTTL], [ValidateThreshold], [ValidateExtend] and [ValidateInstant]
//     check limits.
//   - [Days] is a set of weekdays, [Dates] a set of calendar dates.
//
// Everything is a pure function of its arguments or a method of an immutable
// value. Nothing reads a clock, logs, or runs on for an unbounded time, and
// everything may be used concurrently. A day is a calendar day of the zone in
// question, never 24 hours. Bad input is refused with an [*invalid.Error]. The
// package does not run anything at the times it computes; its callers do.
//
// Instants lie in the years 1 to 9999 in UTC, which every store can keep. Functions
// that return an error refuse others; a schedule does not fire outside them.
//
// # Clock changes
//
// A schedule names times on its zone's clock, and clocks change. By default
// ([DSTOnce]) each of those times fires once, at the first instant at which the
// clock shows it or has passed it:
//
//   - A time in a gap fires at the first instant after the gap. Where the clock
//     goes from 02:00 to 03:00, "30 2 * * *" fires at 03:00 that day. Several times
//     in one gap fire once, together with one that is due at its end anyway:
//     "0 2,3 * * *" fires at 03:00, once. This holds for gaps of any size and place:
//     at midnight, of half an hour, of a whole date. The weekday that
//     [Cron.NextAllowed] looks at is that of the instant.
//   - A time that is shown twice fires the first time. Where the clock goes from
//     03:00 back to 02:00, "30 2 * * *" and "*/15 2 * * *" fire in the first hour
//     only. A time is not fired again even if a gap made it fire early.
//   - A schedule whose hour field selects all 24 hours ("0 * * * *",
//     "*/15 * * * *") is an interval rather than a time of day. It fires in every
//     real hour: nothing extra after a gap, and no hour left out when one is
//     repeated. Vixie cron makes the same distinction. Steps ("0 */2 * * *") and
//     ranges of hours name times of day. Of several lines each is taken by itself.
//
// [DSTCompat] gives the answers of robfig/cron, for hosts whose users rely on
// them: a time in a gap is left out, and one that is shown twice fires twice. Near
// changes of the clock the library's answers are reproduced with their quirks
// (after a shift of half an hour it misses some minutes that do occur). There is
// one exception: the library never returns when it steps from day to day over a
// date that a zone has left out, such as 2011-12-30 in Samoa; here the search goes
// on with the next time that the clock shows.
package schedule
