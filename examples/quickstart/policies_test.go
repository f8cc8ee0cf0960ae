package main

import (
	"strings"
	"testing"
	"time"
)

func TestBadPoliciesNameLineAndReason(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"empty", "# nothing\n", "p.txt:1: there are no templates"},
		{"twice", "a ttl=1h\n\na ttl=2h\n", `p.txt:3: template "a": is there already`},
		{"no name", "ttl=1h\n", `p.txt:1: template "ttl=1h": a line begins with a name`},
		{"unknown setting", "a color=red\n", `p.txt:1: setting "color": there is no such one`},
		{"duration", "a ttl=soon\n", "p.txt:1: ttl=soon: must be a duration"},
		{"negative", "a ttl=-1h\n", "p.txt:1: ttl=-1h: must be a duration"},
		{"days", "a days=Mon-Xyz\n", "p.txt:1: days=Mon-Xyz: "},
		{"count", "a retries=many\n", "p.txt:1: retries=many: must be a number"},
		{"time of day", "a autostart=25:00\n", "p.txt:1: autostart=25:00: must be a time of day"},
		{"quiet hours missing", "a require=all\n", "p.txt:1: require: needs quiet hours"},
		{"escapes", "a\x1b[2J ttl=1h\n", `p.txt:1: template "a\x1b[2J": a name is shown as it is`},
		{"refused by the library", "a dormant=3s\n", "p.txt:1: Policy.TimeTilDormant"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := loadPlans("p.txt", []byte(c.text))
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestOverride(t *testing.T) {
	plans, err := loadPlans("policies.txt", policies)
	if err != nil {
		t.Fatal(err)
	}
	if err := override(plans, "frugal.ttl=2d"); err != nil || find(plans, "frugal").policy.DefaultTTL != 48*time.Hour {
		t.Errorf("got %v, %v", find(plans, "frugal").policy.DefaultTTL, err)
	}
	for _, bad := range []string{"frugal", "none.ttl=1h", "frugal.color=red", "frugal.ttl=x", "frugal.dormant=1s"} {
		if err := override(plans, bad); err == nil {
			t.Errorf("%s: must be refused", bad)
		}
	}
}
