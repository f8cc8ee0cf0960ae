package schedule_test

import (
	"fmt"
	"time"

	"github.com/dormouse-go/dormouse/schedule"
)

func ExampleWeekly() {
	c, err := schedule.Weekly("CRON_TZ=Europe/Berlin 30 9 * * 1-5")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(c.Next(time.Date(2026, 3, 27, 12, 0, 0, 0, time.UTC)))
	fmt.Println(c.Humanize())
	_, err = schedule.Weekly("30 25 * * 7")
	fmt.Println(err)
	// Output:
	// 2026-03-30 09:30:00 +0200 CEST
	// 9:30AM Mon-Fri (Europe/Berlin)
	// spec "30 25 * * 7": end of range (25) above maximum (23): 25
}

// Other hours on Fridays: one schedule of two lines.
func ExampleWeekly_severalLines() {
	c, err := schedule.Weekly("CRON_TZ=Europe/Berlin\n0 9 * * Mon-Thu\n30 7 * * Fri")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(c)
	fmt.Println(c.Humanize())
	thursday := time.Date(2026, 3, 5, 12, 0, 0, 0, time.UTC)
	fmt.Println(c.Next(thursday))
	// Output:
	// CRON_TZ=Europe/Berlin 0 9 * * Mon-Thu; 30 7 * * Fri
	// 9:00AM Mon-Thu; 7:30AM Fri (Europe/Berlin)
	// 2026-03-06 07:30:00 +0100 CET
}

// A time that a change of the clock leaves out fires right after the gap.
func ExampleWeeklyWith() {
	const spec = "CRON_TZ=Europe/Berlin 30 2 * * *"
	before := time.Date(2026, 3, 28, 12, 0, 0, 0, time.UTC)
	once, _ := schedule.Weekly(spec)
	compat, _ := schedule.WeeklyWith(spec, schedule.Options{DST: schedule.DSTCompat})
	fmt.Println(once.Next(before))
	fmt.Println(compat.Next(before))
	// Output:
	// 2026-03-29 03:00:00 +0200 CEST
	// 2026-03-30 02:30:00 +0200 CEST
}

func ExampleNextAllowedAutostart() {
	friday := time.Date(2026, 3, 6, 12, 0, 0, 0, time.UTC)
	days, _ := schedule.ParseDays("Mon,Wed")
	next, err := schedule.NextAllowedAutostart(friday, "0 9 * * *", days)
	fmt.Println(next.Format(time.RFC1123), err)
	// Output: Mon, 09 Mar 2026 09:00:00 UTC <nil>
}

// A workspace that was started at 16:00 for eight hours, and has to stop in its owner's quiet hours on Saturdays.
func ExampleAutostop() {
	quiet, _ := schedule.Daily("CRON_TZ=UTC 0 22 * * *")
	d, err := schedule.Autostop(schedule.AutostopInput{
		CompletedAt: time.Date(2026, 3, 7, 16, 0, 0, 0, time.UTC), // a Saturday
		TTL:         8 * time.Hour,
		QuietHours:  quiet,
		Requirement: schedule.Requirement{Days: schedule.DaysOf(time.Saturday)},
	})
	fmt.Println(d.Deadline.Format(time.DateTime), d.MaxDeadline.Format(time.DateTime), err)
	// Output: 2026-03-07 22:00:00 2026-03-07 22:00:00 <nil>
}

func ExampleBump() {
	now := time.Date(2026, 3, 2, 17, 50, 0, 0, time.UTC)
	deadline, moved := schedule.Bump(schedule.BumpInput{Now: now, Deadline: now.Add(10 * time.Minute), Bump: time.Hour})
	fmt.Println(deadline.Format(time.TimeOnly), moved)
	// Output: 18:50:00 true
}

func ExampleCron_Occurrences() {
	c, _ := schedule.Weekly("0 9,18 * * 1-5")
	from := time.Date(2026, 3, 6, 10, 0, 0, 0, time.UTC)
	for t := range c.Occurrences(from, from.AddDate(0, 0, 3)) {
		fmt.Println(t.Format("Mon 15:04"))
	}
	// Output:
	// Fri 18:00
	// Mon 09:00
}

// What people type, the two schedules that a workspace stores, and the way back.
func ExampleParseHours() {
	h, err := schedule.ParseHours("Mon-Thu 9:00 - 18:00, Fri 7:30 - 14:00", schedule.Options{Zone: "Europe/Berlin"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(h)
	fmt.Println(h.Autostart())
	fmt.Println(h.Autostop())
	fmt.Println(h.Covers(time.Date(2026, 3, 6, 13, 30, 0, 0, time.UTC))) // Friday, half past two in Berlin

	back, ok := schedule.HoursOf(h.Autostart(), h.Autostop())
	fmt.Println(back.Humanize(), ok)
	// Output:
	// Europe/Berlin Mon-Thu 09:00-18:00, Fri 07:30-14:00
	// CRON_TZ=Europe/Berlin 0 9 * * 1-4; 30 7 * * 5
	// CRON_TZ=Europe/Berlin 0 18 * * 1-4; 0 14 * * 5
	// false
	// 9:00AM-6:00PM Mon-Thu; 7:30AM-2:00PM Fri (Europe/Berlin) true
}
