package schedule_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/schedule"
)

func TestDays(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]schedule.Days{
		"": 0, "none": 0, "all": 0x7f, "*": 0x7f, "Mon": 1, "sunday": 0x40, "Mon-Fri": 0x1f, "Fri-Mon": 0x71, "Tue,Sat,Sun": 0x62, " Mon , TUESDAY ": 3,
	} {
		if got, err := schedule.ParseDays(text); err != nil || got != want {
			t.Errorf("%q: %v, %v; want %#02x", text, got, err, uint8(want))
		}
	}
	for _, text := range []string{"Mo", "Mon-", "Mon,", "1", "Mon..Fri", "Mon-Fri-Sun", "weekdays"} {
		if d, err := schedule.ParseDays(text); err == nil {
			t.Errorf("%q is accepted as %v", text, d)
		}
	}
}

// Every set has a text that is read as that set, and Monday is its lowest bit.
func TestDaysText(t *testing.T) {
	t.Parallel()
	for d := schedule.Days(0); d <= schedule.AllDays; d++ {
		text, err := d.MarshalText()
		var back schedule.Days
		if err != nil || back.UnmarshalText(text) != nil || back != d {
			t.Errorf("%#02x: %s comes back as %#02x (%v)", uint8(d), text, uint8(back), err)
		}
		for w := time.Sunday; w <= time.Saturday; w++ {
			if want := d>>((int(w)+6)%7)&1 == 1; d.Has(w) != want {
				t.Errorf("%v has %v: %t", d, w, !want)
			}
		}
	}
	bad := schedule.Days(0x80)
	if _, err := bad.MarshalText(); err == nil || bad.Validate() == nil || fmt.Sprint(bad) != "Days(0x80)" {
		t.Errorf("bit 7 is accepted: %v, %v", bad, err)
	}
	if got := schedule.DaysOf(time.Monday, time.Sunday, 7, -1); got != 0x41 {
		t.Errorf("DaysOf = %#02x", uint8(got))
	}
}
