package schedule_test

import (
	"testing"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/dormouse-go/dormouse/schedule"
)

const benchSpec = "CRON_TZ=Europe/Berlin 30 9 * * 1-5"

// benchTimes are instants spread evenly, yet out of order, over four years.
func benchTimes() []time.Time {
	start := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	times := make([]time.Time, 4096)
	for i := range times {
		times[i] = start.Add(time.Duration(i*1237%len(times))*8*time.Hour + 17*time.Minute)
	}
	return times
}

var sink time.Time

func BenchmarkNext(b *testing.B) {
	times := benchTimes()
	b.Run("schedule", func(b *testing.B) {
		c, err := schedule.Weekly(benchSpec)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			sink = c.Next(times[i%len(times)])
		}
	})
	b.Run("lines", func(b *testing.B) {
		// Both readings, and the largest number of lines.
		c, err := schedule.Weekly("CRON_TZ=Europe/Berlin 0 * * * 1; " + manyLines(31))
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			sink = c.Next(times[i%len(times)])
		}
	})
	b.Run("compat", func(b *testing.B) {
		c, err := schedule.WeeklyWith(benchSpec, schedule.Options{DST: schedule.DSTCompat})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			sink = c.Next(times[i%len(times)])
		}
	})
	b.Run("robfig", func(b *testing.B) {
		c, err := cron.ParseStandard(benchSpec)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			sink = c.Next(times[i%len(times)])
		}
	})
	b.Run("robfig-parse", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			c, err := cron.ParseStandard(benchSpec)
			if err != nil {
				b.Fatal(err)
			}
			sink = c.Next(times[i%len(times)])
		}
	})
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := schedule.Weekly(benchSpec); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkInterner(b *testing.B) {
	var in schedule.Interner
	b.ReportAllocs()
	for b.Loop() {
		if in.Weekly(benchSpec) == nil {
			b.Fatal("no schedule")
		}
	}
}

func BenchmarkZoneFingerprint(b *testing.B) {
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			c, err := schedule.Weekly(benchSpec)
			if err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
			c.ZoneFingerprint()
		}
	})
	b.Run("again", func(b *testing.B) {
		c, err := schedule.Weekly(benchSpec)
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			c.ZoneFingerprint()
		}
	})
}

func BenchmarkHours(b *testing.B) {
	h := workingHours(b, "Europe/Berlin Mon-Thu 09:00-18:00, Fri 07:30-14:00")
	times := benchTimes()
	b.Run("Covers", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			h.Covers(times[i%len(times)])
		}
	})
	b.Run("ParseHours", func(b *testing.B) {
		for b.Loop() {
			workingHours(b, "Europe/Berlin Mon-Thu 09:00-18:00, Fri 07:30-14:00")
		}
	})
}
