package forecast_test

import (
	"regexp"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle/forecast"
)

// The days below a chart are no more than fit beside each other, and no fewer than tell the weeks apart.
func TestDaysBelowAChart(t *testing.T) {
	day := regexp.MustCompile(`>[A-Z][a-z]{2} \d+ [A-Z][a-z]{2}<`)
	for days := 1; days <= 90; days++ {
		o := forecast.Outlook{From: time.Date(2026, 6, 8, 0, 0, 0, 0, time.UTC), Hours: make([]forecast.HourBand, days*24)}
		if n := len(day.FindAllString(o.SVG("running", nil, 0), -1)); n > 10 || n < min(days-1, 4) {
			t.Errorf("%d days: %d of them below", days, n)
		}
	}
}
