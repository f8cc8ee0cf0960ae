package rendercache_test

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/rendercache"
)

func TestConfigErrorsNameFieldValueAndRule(t *testing.T) {
	weigh := func(Key, string) int64 { return 1 }
	for _, test := range []struct {
		field, value string
		cfg          Config
	}{
		{"Config.TTL", "-1s", Config{TTL: -time.Second}},
		{"Config.MaxAge", "-1s", Config{MaxAge: -time.Second}},
		{"Config.CleanupInterval", "-1s", Config{CleanupInterval: -time.Second}},
		{"Config.RefreshAfter", "-1s", Config{RefreshAfter: -time.Second}},
		{"Config.MaxEntries", "-1", Config{MaxEntries: -1}},
		{"Config.MaxEntries", "2147483647", Config{MaxEntries: 1<<31 - 1}},
		{"Config.MaxWeight", "-1", Config{MaxWeight: -1, Weigh: weigh}},
		{"Config.MaxWeight", "5", Config{MaxWeight: 5}},
		{"Config.MaxConcurrentRenders", "-1", Config{MaxConcurrentRenders: -1}},
		{"Config.OwnerShare", "-0.1", Config{OwnerShare: -0.1}},
		{"Config.OwnerShare", "1.5", Config{OwnerShare: 1.5}},
		{"Config.OwnerShare", "NaN", Config{OwnerShare: math.NaN()}},
		{"Config.RefreshAfter", "1h0m0s", Config{RefreshAfter: time.Hour, MaxAge: time.Hour}},
	} {
		c, err := rendercache.New(test.cfg)
		if err == nil {
			c.Close()
		}
		var e *invalid.Error
		if !errors.As(err, &e) || !errors.Is(err, invalid.Err) || e.Field != test.field || fmt.Sprint(e.Value) != test.value || e.Rule == "" {
			t.Errorf("New: %v, want a refusal of %s %s", err, test.field, test.value)
		}
	}
}
