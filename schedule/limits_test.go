package schedule_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/schedule"
)

func TestValidateTTL(t *testing.T) {
	t.Parallel()
	const month = 30 * 24 * time.Hour
	for ttl, want := range map[time.Duration]time.Duration{
		0: 0, time.Minute: time.Minute, 2*time.Minute - 1: time.Minute, time.Hour + 30*time.Second: time.Hour,
		month: month, month + time.Minute - 1: month,
	} {
		if got, err := schedule.ValidateTTL(ttl); err != nil || got != want {
			t.Errorf("%v: %v, %v; want %v", ttl, got, err, want)
		}
	}
	for _, ttl := range []time.Duration{1, time.Minute - 1, -1, -time.Hour, month + time.Minute} {
		_, err := schedule.ValidateTTL(ttl)
		checkField(t, err, "ttl", ttl.String())
	}
}

// checkField checks that an error names the field and the value that is refused.
func checkField(t *testing.T, err error, field, value string) {
	t.Helper()
	var input *invalid.Error
	if !errors.As(err, &input) || input.Field != field || fmt.Sprint(input.Value) != value || input.Rule == "" {
		t.Errorf("error %v, want one of %s %q", err, field, value)
	}
}

func TestValidateThreshold(t *testing.T) {
	t.Parallel()
	for _, d := range []time.Duration{0, time.Minute, time.Hour, 1000 * time.Hour} {
		if err := schedule.ValidateThreshold("Policy.FailureTTL", d); err != nil {
			t.Error(err)
		}
	}
	for _, d := range []time.Duration{-1, 1, time.Minute - 1} {
		checkField(t, schedule.ValidateThreshold("Policy.FailureTTL", d), "Policy.FailureTTL", d.String())
	}
}

func TestValidateThresholdHasAnEnd(t *testing.T) {
	t.Parallel()
	if err := schedule.ValidateThreshold("Policy.FailureTTL", schedule.MaxThreshold); err != nil {
		t.Error(err)
	}
	tooLong := schedule.MaxThreshold + 1
	checkField(t, schedule.ValidateThreshold("Policy.FailureTTL", tooLong), "Policy.FailureTTL", tooLong.String())
}

func TestValidateInstant(t *testing.T) {
	t.Parallel()
	first, last := instant(t, "0001-01-01T00:00:00Z"), instant(t, "9999-12-31T23:59:59.999999999Z")
	tokyo := location(t, "Asia/Tokyo")
	for _, at := range []time.Time{{}, first, last, first.In(tokyo), last.In(tokyo), time.Now()} {
		if err := schedule.ValidateInstant("until", at); err != nil {
			t.Error(err)
		}
	}
	for _, at := range []time.Time{first.Add(-1), last.Add(1), last.AddDate(2000, 0, 0), time.Unix(math.MaxInt64>>8, 0)} {
		checkField(t, schedule.ValidateInstant("until", at), "until", at.Format(time.RFC3339))
	}
}

func TestValidateExtend(t *testing.T) {
	t.Parallel()
	now := instant(t, "2026-03-02T09:00:00Z")
	usual := schedule.ExtendInput{
		Now: now, CompletedAt: now.Add(-time.Hour), Deadline: now.Add(time.Hour), MaxDeadline: now.Add(8 * time.Hour),
		NewDeadline: now.Add(2 * time.Hour),
	}
	for _, tt := range []struct {
		name   string
		change func(in *schedule.ExtendInput)
		rule   string // "" when it is allowed
	}{
		{"usual", func(*schedule.ExtendInput) {}, ""},
		{"shorter", func(in *schedule.ExtendInput) { in.NewDeadline = now.Add(30 * time.Minute) }, ""},
		{"29 minutes", func(in *schedule.ExtendInput) { in.NewDeadline = now.Add(29 * time.Minute) }, ""},
		{"just less", func(in *schedule.ExtendInput) { in.NewDeadline = now.Add(29*time.Minute - time.Microsecond) }, "at least 29m0s from now"},
		{"to the cap", func(in *schedule.ExtendInput) { in.NewDeadline = in.MaxDeadline }, ""},
		{"past the cap", func(in *schedule.ExtendInput) { in.NewDeadline = in.MaxDeadline.Add(time.Microsecond) }, "after the max deadline"},
		{"no cap", func(in *schedule.ExtendInput) { in.MaxDeadline, in.NewDeadline = time.Time{}, now.Add(schedule.MaxTTL) }, ""},
		{"no cap, for ever", func(in *schedule.ExtendInput) {
			in.MaxDeadline, in.NewDeadline = time.Time{}, now.Add(schedule.MaxTTL+time.Microsecond)
		}, "not be more than 720h0m0s from now"},
		{"a cap far away", func(in *schedule.ExtendInput) {
			in.MaxDeadline = now.Add(2 * schedule.MaxTTL)
			in.NewDeadline = in.MaxDeadline
		}, ""},
		{"the year 12000", func(in *schedule.ExtendInput) { in.MaxDeadline, in.NewDeadline = time.Time{}, now.AddDate(9974, 0, 0) }, "years 1 to 9999"},
		{"not completed", func(in *schedule.ExtendInput) { in.CompletedAt = time.Time{} }, "start has completed"},
		{"has a deadline", func(in *schedule.ExtendInput) { in.Deadline = time.Time{} }, "has a deadline"},
		{"before the completion", func(in *schedule.ExtendInput) { in.CompletedAt = now.Add(3 * time.Hour) }, "before the start completed"},
		{"at the completion", func(in *schedule.ExtendInput) { in.CompletedAt = in.NewDeadline }, ""},
	} {
		in := usual
		tt.change(&in)
		err := schedule.ValidateExtend(in)
		if tt.rule == "" && err != nil || tt.rule != "" && (err == nil || !strings.Contains(err.Error(), tt.rule)) {
			t.Errorf("%s: error %v, want %q", tt.name, err, tt.rule)
		}
	}
}
