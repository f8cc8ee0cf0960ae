package forecast_test

import (
	"github.com/dormouse-go/dormouse/lifecycle/forecast/internal/kit"
)

// What the tests of forecasts have in common.

const day = kit.Day

var (
	monday, id, stopped, policy, autostart, ttl = kit.Monday, kit.ID, kit.Stopped, kit.Policy, kit.Autostart, kit.TTL
	seeded, first                               = kit.Seeded, kit.First
)

func must[T any](v T, err error) T { return kit.Must(v, err) }

func pick[T any](r kit.Random, all ...T) T { return kit.Pick(r, all...) }
