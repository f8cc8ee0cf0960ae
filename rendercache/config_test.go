package rendercache_test

import (
	"strings"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/rendercache"
)

func TestConfigErrorsNameFieldValueAndRule(t *testing.T) {
	weigh := func(Key, string) int64 { return 1 }
	for want, cfg := range map[string]Config{
		"Config.TTL is -1s: it must not be negative":                {TTL: -time.Second},
		"Config.MaxAge is -1s: it must not be negative":             {MaxAge: -time.Second},
		"Config.CleanupInterval is -1s: it must not be negative":    {CleanupInterval: -time.Second},
		"Config.RefreshAfter is -1s: it must not be negative":       {RefreshAfter: -time.Second},
		"Config.MaxEntries is -1: it must be between 0 and":         {MaxEntries: -1},
		"Config.MaxEntries is 2147483647: it must be between 0 and": {MaxEntries: 1<<31 - 1},
		"Config.MaxWeight is -1: it must not be negative":           {MaxWeight: -1, Weigh: weigh},
		"Config.MaxWeight is 5 but Config.Weigh is nil":             {MaxWeight: 5},
		"Config.MaxConcurrentRenders is -1: it must not":            {MaxConcurrentRenders: -1},
		"Config.RefreshAfter is 1h0m0s and Config.MaxAge 1h0m0s":    {RefreshAfter: time.Hour, MaxAge: time.Hour},
	} {
		c, err := rendercache.New(cfg)
		if err == nil {
			c.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New: %v, want %q", err, want)
		}
	}
}
