// Package schedule holds the rules of time in the life of a workspace: when it
// starts by itself, when it has to stop, how far activity and people may move that, and on which
// dates nothing happens.
//
//   - [Weekly] and [Daily] parse cron schedules with a time zone into a [Cron],
//     which answers Next in some tens of nanoseconds. An [Interner] shares them.
//   - [NextAutostart] and [NextAllowedAutostart] find the next start.
//   - [Autostop] computes the deadlines of a build, [Bump] what activity does to them.
//   - [ValidateTTL], [ValidateThreshold] and [ValidateExtend] are the limits.
//   - [Days] is a set of weekdays, [Dates] a set of calendar dates.
//
// Everything is a pure function of its arguments or a method of an immutable
// value: nothing reads a clock, logs, or fails to return, and everything may be
// used concurrently. Days are calendar days of the zone in question, never 24 hours. What is
// wrong with an input is told by an [*invalid.Error]. The package runs nothing; that
// is the business of whoever asks.
//
// # Clock changes
//
// A schedule names times on its zone's clock, and clocks are changed. By default
// ([DSTOnce]) each of those times fires once, at the first instant at which the
// clock shows it or has passed it:
//
//   - A time in a gap fires at the first instant after the gap. Where the clock
//     goes from 02:00 to 03:00, "30 2 * * *" fires at 03:00 that day. Several times in a gap, or one
//     that is due at its end anyway, make one fire: "0 2,3 * * *" fires at 03:00, once.
//     This holds for gaps of any size and place: at midnight, of half an hour, of a whole date.
//     The fire's weekday, which [Cron.NextAllowed] looks at, is that of the instant.
//   - A time that is shown twice fires the first time. Where the clock goes from
//     03:00 back to 02:00, "30 2 * * *" and "*/15 2 * * *" fire in the first hour
//     only. A time is not fired again even if a gap made it fire early.
//   - A schedule whose hour field selects all 24 hours ("0 * * * *", "*/15 * * * *") is an
//     interval rather than a time of day, and follows the clock as it runs: it
//     goes on every real hour, with nothing to catch up after a gap and no
//     silent hour when one is repeated. Vixie cron draws the same line.
//     Steps ("0 */2 * * *") and ranges of hours name times of day.
//
// [DSTCompat] gives the answers of robfig/cron, for hosts whose users rely on
// them: a time in a gap is left out, one that is shown twice fires twice. Near changes of the clock the
// library's answers are reproduced with their quirks (after a shift of half an hour it misses
// some minutes that do occur). There is one exception: stepping from day to day over
// a date that a zone has left out, such as 2011-12-30 in Samoa, the library never
// returns; here the search goes on with the next time that the clock shows.
package schedule
