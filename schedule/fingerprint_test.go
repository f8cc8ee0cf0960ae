package schedule_test

import (
	"testing"

	"github.com/dormouse-go/dormouse/schedule"
)

// It depends on the zone only, and on all of it.
func TestZoneFingerprint(t *testing.T) {
	t.Parallel()
	var i schedule.Interner
	seen := map[int64]string{}
	for _, name := range allZones() {
		sum := i.Weekly("CRON_TZ=" + name + " 0 9 * * 1").ZoneFingerprint()
		if other, ok := seen[sum]; ok || sum == 0 {
			t.Errorf("%s has the fingerprint of %s: %d", name, other, sum)
		}
		seen[sum] = name
		again := daily(t, "CRON_TZ="+name+" 30 22 * * *").ZoneFingerprint()
		if holidays := dates(t, name+" 2026-12-24").ZoneFingerprint(); again != sum || holidays != sum {
			t.Errorf("%s: %d, %d, %d", name, sum, again, holidays)
		}
	}
	var none *schedule.Cron
	var empty *schedule.Dates
	if none.ZoneFingerprint() != 0 || i.Weekly("nonsense").ZoneFingerprint() != 0 || (&schedule.Cron{}).ZoneFingerprint() != 0 {
		t.Error("a schedule that never fires has a zone")
	}
	if empty.ZoneFingerprint() != 0 || (&schedule.Dates{}).ZoneFingerprint() != 0 || schedule.ReadDates("nonsense").ZoneFingerprint() != 0 {
		t.Error("no dates have a zone")
	}
}
