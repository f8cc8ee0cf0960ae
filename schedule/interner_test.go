package schedule_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/schedule"
)

func TestInternerShares(t *testing.T) {
	t.Parallel()
	var i schedule.Interner
	a, b := i.Weekly("0 9 * * *"), i.Weekly("0 9 * * *")
	if a == nil || a != b || a.Err() != nil {
		t.Errorf("%p and %p, error %v", a, b, a.Err())
	}
	if d := i.Daily("0 9 * * *"); d == a {
		t.Error("a daily schedule is not a weekly one")
	}
	if i.Weekly("") != nil {
		t.Error("no text is no schedule")
	}
}

func TestInternerKeepsWhatIsUnusable(t *testing.T) {
	t.Parallel()
	var i schedule.Interner
	c := i.Weekly("every day")
	if c.Err() == nil || c.Text() != "every day" || !c.Next(time.Now()).IsZero() || c.String() != "every day" {
		t.Errorf("schedule %v, error %v", c, c.Err())
	}
	if again := i.Weekly("every day"); again != c {
		t.Error("an unusable text is parsed each time")
	}
}

// It keeps a bounded number, and those that are asked for again.
func TestInternerIsBounded(t *testing.T) {
	t.Parallel()
	var i schedule.Interner
	used := i.Weekly("0 0 * * *")
	first := i.Weekly("1 0 * * *")
	for n := range 5_000 {
		i.Weekly(fmt.Sprintf("%d %d * * %d", n%60, n/60%24, n/60/24))
		if i.Weekly("0 0 * * *") != used {
			t.Fatalf("after %d others a schedule in use was forgotten", n+1)
		}
	}
	if i.Weekly("1 0 * * *") == first {
		t.Error("a schedule that nobody asked for is kept for ever")
	}
}

func TestInternerOptions(t *testing.T) {
	t.Parallel()
	i := schedule.Interner{Options: schedule.Options{DST: schedule.DSTCompat}}
	at := instant(t, "2026-03-28T12:00:00Z")
	if got, want := i.Weekly("CRON_TZ=Europe/Berlin 30 2 * * *").Next(at), instant(t, "2026-03-30T00:30:00Z"); !got.Equal(want) {
		t.Errorf("next is %v, want %v", got, want)
	}
}

func TestZoneOfTheHost(t *testing.T) {
	t.Parallel()
	o := schedule.Options{Zone: "Europe/Berlin"}
	i := schedule.Interner{Options: o}
	with, err := schedule.WeeklyWith("0 9 * * *", o)
	if err != nil {
		t.Fatal(err)
	}
	quiet, err := schedule.DailyWith("0 9 * * *", o)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []*schedule.Cron{with, quiet, i.Weekly("0 9 * * *"), i.Daily("0 9 * * *")} {
		if c.String() != "CRON_TZ=Europe/Berlin 0 9 * * *" || c.Text() != "0 9 * * *" || c.Location().String() != o.Zone {
			t.Errorf("String %q, Text %q, zone %v", c.String(), c.Text(), c.Location())
		}
	}
	if named := i.Weekly("CRON_TZ=Asia/Tokyo 0 9 * * *"); named.Location().String() != "Asia/Tokyo" {
		t.Errorf("a zone that is named is %v", named.Location())
	}
	for _, zone := range []string{"Local", "localtime", "Mars/Olympus"} {
		o := schedule.Options{Zone: zone}
		_, err := schedule.WeeklyWith("0 9 * * *", o)
		checkField(t, err, "Options.Zone", zone)
		checkField(t, o.Validate(), "Options.Zone", zone)
		bad := schedule.Interner{Options: o}
		checkField(t, bad.Weekly("0 9 * * *").Err(), "Options.Zone", zone)
	}
	if err := o.Validate(); err != nil {
		t.Error(err)
	}
}

func TestInternerConcurrently(t *testing.T) {
	t.Parallel()
	var i schedule.Interner
	var g sync.WaitGroup
	for w := range 8 {
		g.Go(func() {
			for n := range 3_000 {
				text := fmt.Sprintf("%d %d * * *", n%60, (n/60+w)%24)
				if c := i.Weekly(text); c.Text() != text {
					t.Errorf("asked for %q, got %q", text, c.Text())
				}
			}
		})
	}
	g.Wait()
}
