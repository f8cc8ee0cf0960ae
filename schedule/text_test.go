package schedule_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/dormouse-go/dormouse/schedule"
)

type settings struct {
	Autostart *schedule.Cron
	Quiet     *schedule.Cron
	Days      schedule.Days
}

// What is written names its zone and is read back as equal, whatever the host's options are.
func TestScheduleAsJSON(t *testing.T) {
	t.Parallel()
	i := schedule.Interner{Options: schedule.Options{Zone: "Europe/Berlin"}}
	in := settings{Autostart: i.Weekly("0 9 * * 1-4\n30 7 * * 5"), Quiet: i.Daily("CRON_TZ=Asia/Tokyo 0 22 * * *"), Days: 0x1f}
	b, err := json.Marshal(in)
	const want = `{"Autostart":"CRON_TZ=Europe/Berlin 0 9 * * 1-4; 30 7 * * 5","Quiet":"CRON_TZ=Asia/Tokyo 0 22 * * *","Days":"Mon-Fri"}`
	if err != nil || string(b) != want {
		t.Fatalf("%s, %v; want %s", b, err, want)
	}
	var out settings
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	if out.Autostart.String() != in.Autostart.String() || out.Quiet.String() != in.Quiet.String() || out.Days != in.Days {
		t.Errorf("%+v comes back as %+v", in, out)
	}
	at := instant(t, "2026-03-05T12:00:00Z")
	if got, want := out.Autostart.Next(at), instant(t, "2026-03-06T06:30:00Z"); !got.Equal(want) {
		t.Errorf("fires at %v, want %v", got, want)
	}
}

func TestNoScheduleAsJSON(t *testing.T) {
	t.Parallel()
	b, err := json.Marshal(settings{Quiet: new(schedule.Cron)})
	if err != nil || string(b) != `{"Autostart":null,"Quiet":"","Days":"none"}` {
		t.Fatalf("%s, %v", b, err)
	}
	out := settings{Autostart: weekly(t, "0 9 * * *"), Quiet: daily(t, "0 9 * * *"), Days: 3}
	if err := json.Unmarshal(b, &out); err != nil || out.Autostart != nil || out.Quiet.String() != "" || out.Days != 0 {
		t.Errorf("%+v, %v", out, err)
	}
}

// Input that cannot be read is refused and changes nothing.
func TestScheduleFromJSONRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"every day", "0 9 * *", "CRON_TZ= 0 9 * * *", "CRON_TZ=Local 0 9 * * *"} {
		c := weekly(t, "0 9 * * *")
		checkRefused(t, text, c.UnmarshalText([]byte(text)), "")
		if c.String() != "CRON_TZ=UTC 0 9 * * *" {
			t.Errorf("%q: left %v behind", text, c)
		}
	}
	if b, err := json.Marshal(schedule.Days(0x83)); err == nil {
		t.Errorf("an invalid set is written as %s", b)
	}
	var d schedule.Days = 3
	if err := json.Unmarshal([]byte(`"Mo"`), &d); err == nil || d != 3 {
		t.Errorf("%v, %v", d, err)
	}
}

// One bad stored row does not keep the others from being shown: a schedule is written as it was stored.
func TestUnusableValuesAsJSON(t *testing.T) {
	t.Parallel()
	var i schedule.Interner
	b, err := json.Marshal(settings{Autostart: i.Weekly("every day"), Quiet: i.Daily("0 0 * * 1")})
	if err != nil || string(b) != `{"Autostart":"every day","Quiet":"0 0 * * 1","Days":"none"}` {
		t.Errorf("%s, %v", b, err)
	}
	var out settings
	if err := json.Unmarshal(b, &out); err == nil || !strings.Contains(err.Error(), "every day") {
		t.Errorf("%+v, %v: input is refused", out, err)
	}
	stored := struct{ Autostart string }{}
	if err := json.Unmarshal(b, &stored); err != nil || i.Weekly(stored.Autostart).Text() != "every day" {
		t.Errorf("%+v, %v", stored, err)
	}
}
