package schedule_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/schedule"
)

func TestWeeklyAcceptsAndRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		spec    string
		want    string // canonical text when accepted
		refused string // part of the rule when not
	}{
		{spec: "30 9 * * 1-5", want: "CRON_TZ=UTC 30 9 * * 1-5"},
		{spec: "CRON_TZ=Europe/Berlin 30 9 * * 1-5", want: "CRON_TZ=Europe/Berlin 30 9 * * 1-5"},
		{spec: "CRON_TZ=US/Central */5 12-18 * * 1,3,6", want: "CRON_TZ=US/Central */5 12-18 * * 1,3,6"},
		{spec: "CRON_TZ=UTC 0 0 * * *", want: "CRON_TZ=UTC 0 0 * * *"},
		{spec: "CRON_TZ=Etc/GMT+5 0 0 * * *", want: "CRON_TZ=Etc/GMT+5 0 0 * * *"},
		{spec: "30 9 * * 7", want: "CRON_TZ=UTC 30 9 * * 7"},
		{spec: "30 9 * * 5-1", want: "CRON_TZ=UTC 30 9 * * 5-1"},
		{spec: "  30  9 *\t* 1-5 ", want: "CRON_TZ=UTC 30 9 * * 1-5"},
		{spec: "CRON_TZ=Asia/Tokyo\t30 9 * * *", want: "CRON_TZ=Asia/Tokyo 30 9 * * *"},
		{spec: "0,15,30-40 9 * * *", want: "CRON_TZ=UTC 0,15,30-40 9 * * *"},
		{spec: "10-50/20 */6 * * *", want: "CRON_TZ=UTC 10-50/20 */6 * * *"},
		{spec: "5/10 9 * * *", want: "CRON_TZ=UTC 5/10 9 * * *"},
		{spec: "0 9 * * MON-fri", want: "CRON_TZ=UTC 0 9 * * MON-fri"},
		{spec: "0 9 * * Sat,SUN", want: "CRON_TZ=UTC 0 9 * * Sat,SUN"},
		{spec: "0 9 * * ?", want: "CRON_TZ=UTC 0 9 * * ?"},
		{spec: "0 9 * * 0-6", want: "CRON_TZ=UTC 0 9 * * 0-6"},

		{spec: "", refused: "five fields"},
		{spec: "   ", refused: "five fields"},
		{spec: "asdf", refused: "five fields"},
		{spec: "30 9 1-5", refused: "five fields"},
		{spec: "30 9 * *", refused: "five fields"},
		{spec: "CRON_TZ=Europe/Berlin", refused: "not 0"},
		{spec: "CRON_TZ=Europe/Berlin ", refused: "not 0"},
		{spec: "CRON_TZ=", refused: "must not be empty"},
		{spec: "CRON_TZ= 0 0 * * *", refused: "must not be empty"},
		{spec: "CRON_TZ=Europe/Berlin * * * *", refused: "not 4"},
		{spec: "0 30 9 * * 1-5", refused: "not 6"},
		{spec: "Europe/Berlin 30 9 * * 1-5", refused: "not 6"},
		{spec: "TZ=Europe/Berlin 30 9 * * 1-5", refused: "not 6"},
		{spec: "TZ=Europe/Berlin * * * *", refused: "zone prefixes other than CRON_TZ="},
		{spec: "cron_tz=Europe/Berlin 30 9 * * 1-5", refused: "not 6"},
		{spec: " CRON_TZ=Europe/Berlin 30 9 * * 1-5", refused: "not 6"},
		{spec: "CRON_TZ=UTC CRON_TZ=UTC 30 9 * * 1-5", refused: "not 6"},
		{spec: "CRON_TZ=UTC 0 30 9 * * 1-5", refused: "not 6"},
		{spec: "@daily", refused: "five fields"},
		{spec: "@every 1h * * 1", refused: "descriptors"},
		{spec: "CRON_TZ=Local 30 9 * * 1-5", refused: "the host's own"},
		{spec: "CRON_TZ=localtime 30 9 * * 1-5", refused: "the host's own"},
		{spec: "CRON_TZ=Fictional/Country 30 9 * * 1-5", refused: "time zone database"},
		{spec: "CRON_TZ=../Europe/Berlin 30 9 * * 1-5", refused: "time zone database"},
		{spec: "CRON_TZ=/etc/localtime 30 9 * * 1-5", refused: "time zone database"},
		{spec: "CRON_TZ=./localtime 30 9 * * 1-5", refused: "time zone database"},
		{spec: "CRON_TZ=Europe//Berlin 30 9 * * 1-5", refused: "time zone database"},
		{spec: "CRON_TZ=Europe/./Berlin 30 9 * * 1-5", refused: "time zone database"},
		{spec: "CRON_TZ=Europe/Berlin/ 30 9 * * 1-5", refused: "time zone database"},
		{spec: "30 9 1 * 1-5", refused: `day-of-month must be "*"`},
		{spec: "30 9 ? * 1-5", refused: `day-of-month must be "*"`},
		{spec: "30 9 */1 * 1-5", refused: `day-of-month must be "*"`},
		{spec: "30 9 * 1 1-5", refused: `month must be "*"`},
		{spec: "30 9 * JAN 1-5", refused: `month must be "*"`},
		{spec: "30 9 * * 8", refused: "above maximum"},
		{spec: "30 17-9 * * 5", refused: "beyond end of range"},
		{spec: "30 9 * * sunday", refused: "failed to parse"},
		{spec: "60 9 * * *", refused: "above maximum"},
		{spec: "30 24 * * *", refused: "above maximum"},
		{spec: "-1 9 * * *", refused: "failed to parse"},
		{spec: "40-20 9 * * *", refused: "beyond end of range"},
		{spec: "*/0 9 * * *", refused: "step"},
		{spec: "1/2/3 9 * * *", refused: "too many slashes"},
		{spec: "1-2-3 9 * * *", refused: "too many hyphens"},
		{spec: ", 9 * * *", refused: "selects nothing"},
		{spec: "0 , * * *", refused: "selects nothing"},
		{spec: "0 9 * * ,,", refused: "selects nothing"},
		{spec: strings.Repeat("0,", 600) + "0 9 * * *", refused: "longer than"},
	}
	for _, tt := range tests {
		c, err := schedule.Weekly(tt.spec)
		if tt.refused != "" {
			checkRefused(t, tt.spec, err, tt.refused)
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", tt.spec, err)
			continue
		}
		if c.String() != tt.want || c.Text() != tt.spec || c.Err() != nil {
			t.Errorf("%q: String %q, Text %q, Err %v; want String %q", tt.spec, c.String(), c.Text(), c.Err(), tt.want)
		}
		if _, spec, _ := strings.Cut(tt.want, " "); c.Spec() != spec {
			t.Errorf("%q: Spec %q, want %q", tt.spec, c.Spec(), spec)
		}
	}
}

func checkRefused(t *testing.T, spec string, err error, rule string) {
	t.Helper()
	var input *invalid.Error
	if !errors.As(err, &input) || !strings.Contains(input.Rule, rule) {
		t.Errorf("%q: error %v, want an invalid.Error about %q", spec, err, rule)
		return
	}
	if input.Field != "spec" || !strings.HasPrefix(spec, strings.TrimSuffix(fmt.Sprint(input.Value), "...")) {
		t.Errorf("%q: error names field %q, value %q", spec, input.Field, input.Value)
	}
}

func TestDailyAcceptsAndRefuses(t *testing.T) {
	t.Parallel()
	for _, spec := range []string{"0 0 * * *", "CRON_TZ=America/New_York 59 23 * * *", "05 09 * * *"} {
		if _, err := schedule.Daily(spec); err != nil {
			t.Errorf("%q: %v", spec, err)
		}
	}
	refused := map[string]string{
		"0 0 * * 1":    `day-of-week must be "*"`,
		"0 0 * * ?":    `day-of-week must be "*"`,
		"0 0 * * 0-6":  `day-of-week must be "*"`,
		"0 0 1 * *":    `day-of-month must be "*"`,
		"* 0 * * *":    "minute must be a single value",
		"*/60 0 * * *": "minute must be a single value",
		"0 * * * *":    "hour must be a single value",
		"0 1,2 * * *":  "hour must be a single value",
		"0 1-1 * * *":  "hour must be a single value",
		"000 1 * * *":  "minute must be a single value",
		"+5 1 * * *":   "minute must be a single value",
		"61 1 * * *":   "above maximum",
		"0 24 * * *":   "above maximum",
		"0 0 * *":      "five fields",
	}
	for spec, rule := range refused {
		_, err := schedule.Daily(spec)
		checkRefused(t, spec, err, rule)
	}
}

func TestUnknownPolicyIsRefused(t *testing.T) {
	t.Parallel()
	if _, err := schedule.WeeklyWith("0 9 * * *", schedule.Options{DST: 7}); err == nil {
		t.Error("WeeklyWith accepted an unknown DST policy")
	}
	if _, err := schedule.DailyWith("0 9 * * *", schedule.Options{DST: 7}); err == nil {
		t.Error("DailyWith accepted an unknown DST policy")
	}
	for policy, name := range map[schedule.DST]string{schedule.DSTOnce: "once", schedule.DSTCompat: "compat", 9: "unknown"} {
		if policy.String() != name {
			t.Errorf("policy %d is named %q, want %q", policy, policy.String(), name)
		}
	}
}

func TestHumanized(t *testing.T) {
	t.Parallel()
	tests := []struct{ spec, time, days, whole string }{
		{"30 9 * * 1-5", "9:30AM", "Mon-Fri", "9:30AM Mon-Fri (UTC)"},
		{"CRON_TZ=US/Central 30 13 * * *", "1:30PM", "daily", "1:30PM daily (US/Central)"},
		{"05 09 * * 0-6", "9:05AM", "daily", "9:05AM daily (UTC)"},
		{"0 0 * * 1,3,6", "12:00AM", "Mon,Wed,Sat", "12:00AM Mon,Wed,Sat (UTC)"},
		{"0 12 * * 0,6", "12:00PM", "Sun,Sat", "12:00PM Sun,Sat (UTC)"},
		{"0 9,17 * * mon-FRI", "cron(0 9,17)", "Mon-Fri", "9:00AM, 5:00PM Mon-Fri (UTC)"},
		{"*/5 12-18 * * 1-5/2", "cron(*/5 12-18)", "Mon,Wed,Fri", "cron(*/5 12-18) Mon,Wed,Fri (UTC)"},
		{"10,20,40-50 * * * ?", "cron(10,20,40-50 *)", "daily", "cron(10,20,40-50 *) daily (UTC)"},
		{"0 9 * * 5/1", "9:00AM", "Fri,Sat", "9:00AM Fri,Sat (UTC)"},
		{"0 9 * * */3", "9:00AM", "Sun,Wed,Sat", "9:00AM Sun,Wed,Sat (UTC)"},
		{"0 9 * * 1,,2", "9:00AM", "Mon,Tue", "9:00AM Mon,Tue (UTC)"},
	}
	for _, tt := range tests {
		c := weekly(t, tt.spec)
		if c.Time() != tt.time || c.DaysOfWeek() != tt.days || c.Humanize() != tt.whole {
			t.Errorf("%q: %q, %q, %q; want %q, %q, %q", tt.spec, c.Time(), c.DaysOfWeek(), c.Humanize(), tt.time, tt.days, tt.whole)
		}
	}
}

func TestMin(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"CRON_TZ=US/Central 30 9 * * 1-5":         "24h",
		"30 9 * * 1":                              "168h",
		"CRON_TZ=US/Central */5 12-18 * * 1,3,6":  "5m",
		"CRON_TZ=US/Central 10,20,40-50 * * * *":  "1m",
		"0 9,17 * * *":                            "8h",
		"1 1 * * *":                               "24h",
		"CRON_TZ=Europe/Berlin 0 0,23 * * 1,2,3,": "1h",
	}
	for spec, want := range tests {
		if got := weekly(t, spec).Min(); got != duration(t, want) {
			t.Errorf("%q: smallest gap %v, want %s", spec, got, want)
		}
	}
}
