package shadow_test

import (
	"github.com/dormouse-go/dormouse/lifecycle/forecast/internal/kit"
)

// What the tests of forecasts have in common.
type edit = kit.Edit

const day = kit.Day

var (
	monday, id, stopped, policy, autostart, ttl = kit.Monday, kit.ID, kit.Stopped, kit.Policy, kit.Autostart, kit.TTL
	seeded                                      = kit.Seeded
)

func must[T any](v T, err error) T { return kit.Must(v, err) }
