package lint_test

import (
	"fmt"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast/lint"
	"github.com/dormouse-go/dormouse/schedule"
)

// What is wrong with these settings, before they are saved?
func ExampleWorkspace() {
	now := time.Date(2026, 3, 2, 6, 0, 0, 0, time.UTC)
	autostart, _ := schedule.Weekly("CRON_TZ=Europe/Berlin 30 2 * * 6,0")
	s := lifecycle.Snapshot{
		Workspace: lifecycle.Workspace{Name: "api", Autostart: autostart, TTL: 8 * time.Hour, CreatedAt: now},
		Template: lifecycle.Template{Name: "go", Policy: lifecycle.Policy{
			AutostartDays: schedule.DaysOf(time.Sunday), AllowUserAutostart: true, AllowUserTTL: true,
		}},
	}
	for _, w := range lint.Workspace(s, now, lint.Config{}) {
		fmt.Println(w.Code, w.Setting+":", w.Cure)
	}
	// Output:
	// forbidden_days Workspace.Autostart: leave out Sat, or allow Sat in Policy.AutostartDays
	// clock_gap Workspace.Autostart: choose a time outside the hours in which clocks are changed, such as 04:00
}
