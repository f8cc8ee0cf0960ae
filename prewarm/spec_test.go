package prewarm_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/prewarm"
)

func TestSpecRefusesWhatContradictsItself(t *testing.T) {
	tests := []struct {
		field  string
		change func(s *prewarm.Spec)
	}{
		{"Spec.Name", func(s *prewarm.Spec) { s.Name = "" }},
		{"Spec.Name", func(s *prewarm.Spec) { s.Name = strings.Repeat("x", 201) }},
		{"Spec.Version", func(s *prewarm.Spec) { s.Version = "a\nb" }},
		{"Spec.Floor", func(s *prewarm.Spec) { s.Floor = -1 }},
		{"Spec.Floor", func(s *prewarm.Spec) { s.Floor, s.Ceiling = 5, 4 }},
		{"Spec.Ceiling", func(s *prewarm.Spec) { s.Floor, s.Ceiling = 0, -1 }},
		{"Spec.Reserves", func(s *prewarm.Spec) { s.Reserves = map[string]int{"": 1} }},
		{"Spec.Reserves", func(s *prewarm.Spec) { s.Reserves = map[string]int{"a": -1} }},
		{"Spec.Reserves", func(s *prewarm.Spec) { s.Reserves = map[string]int{"a": 11} }},
		{"Spec.HitRate", func(s *prewarm.Spec) { s.HitRate = 1 }},
		{"Spec.HitRate", func(s *prewarm.Spec) { s.HitRate = math.NaN() }},
		{"Spec.MaxStarting", func(s *prewarm.Spec) { s.MaxStarting = -1 }},
		{"Spec.MaxQuarantined", func(s *prewarm.Spec) { s.MaxQuarantined = -1 }},
		{"Spec.Rollover.MaxUnavailable", func(s *prewarm.Spec) { s.Rollover.MaxUnavailable = -1 }},
		{"Spec.Reuse.MaxUses", func(s *prewarm.Spec) { s.Reuse.MaxUses = -1 }},
		{"Spec.Retry.Threshold", func(s *prewarm.Spec) { s.Retry.Threshold = -1 }},
		{"Spec.Retry.Max", func(s *prewarm.Spec) { s.Retry.Max = time.Second }},
		{"Spec.ReadyTimeout", func(s *prewarm.Spec) { s.ReadyTimeout = -1 }},
		{"Spec.IdleLife", func(s *prewarm.Spec) { s.IdleLife = -1 }},
		{"Spec.Demand.PerHour", func(s *prewarm.Spec) { s.Demand.PerHour = math.Inf(1) }},
		{"Spec.Demand.PerHour", func(s *prewarm.Spec) { s.Demand.PerHour = math.NaN() }},
		{"Spec.Demand.Forecast.PerHour[167]", func(s *prewarm.Spec) {
			s.Demand.Forecast = &prewarm.Forecast{}
			s.Demand.Forecast.PerHour[167] = math.NaN()
		}},
		{"Spec.Demand.Waiting", func(s *prewarm.Spec) { s.Demand.Waiting = -1 }},
		{"Spec.Demand.BuildTime", func(s *prewarm.Spec) { s.Demand.BuildTime = -1 }},
		{"Window.Start", func(s *prewarm.Spec) { s.Windows = []prewarm.Window{{Length: time.Hour}} }},
		{"Window.Length", func(s *prewarm.Spec) { s.Windows = []prewarm.Window{{Start: weekly(t, "0 9 * * *")}} }},
		{"Window.Size", func(s *prewarm.Spec) {
			s.Windows = []prewarm.Window{{Start: weekly(t, "0 9 * * *"), Length: time.Hour, Size: 11}}
		}},
	}
	for _, test := range tests {
		spec := pool(3)
		test.change(&spec)
		if err := spec.Validate(); !errors.Is(err, invalid.Err) || field(err) != test.field {
			t.Errorf("%s: %v", test.field, err)
		}
	}
	if err := (prewarm.Spec{Name: "p", Version: "v"}).Validate(); err != nil {
		t.Errorf("a pool of size zero is legal: %v", err)
	}
}

func TestStatesHaveNames(t *testing.T) {
	for _, s := range prewarm.States() {
		text, err := s.MarshalText()
		var back prewarm.State
		if err != nil || back.UnmarshalText(text) != nil || back != s {
			t.Errorf("%v: %q, %v", s, text, err)
		}
	}
	var s prewarm.State
	if s.UnmarshalText([]byte("asleep")) == nil {
		t.Error("reads a state that does not exist")
	}
	if _, err := prewarm.State(99).MarshalText(); err == nil {
		t.Error("writes a state that does not exist")
	}
}
