package forecast

import (
	"os"
	"path/filepath"

	"github.com/dormouse-go/dormouse/lifecycle/forecast"
)

// Plots draws the pictures of the documentation into a folder: what was foretold for three weeks of June and what then
// happened, and hours against waits of fixed and learned schedules.
func Plots(dir string) error {
	devs, err := load()
	if err != nil {
		return err
	}
	members := dealt(devs)
	actual, err := replay(members)
	if err != nil {
		return err
	}
	weekly, err := foretell(devs, members, 7*day, 30, false)
	if err != nil {
		return err
	}
	first := hoursBetween(begins, learnt)
	const shown = 21 * 24
	o := forecast.Outlook{Band: 0.8, Hours: weekly[:shown]}
	running := o.SVG("Running workspaces, foretold a week ahead from each Monday", actual[first:first+shown], 0)
	if err := os.WriteFile(filepath.Join(dir, "forecast-running.svg"), []byte(running), 0o644); err != nil {
		return err
	}
	fixed, learned, err := summer.frontiers(devs, &fullGrid, func(int, int) {})
	if err != nil {
		return err
	}
	all := forecast.Simulation{}
	for _, r := range append(fixed.Frontier(), learned.Frontier()...) {
		if r.Hours < 150_000 {
			all.Results = append(all.Results, r)
		}
	}
	saved := all.SVG("June and July: hours and waits; blue are learned schedules, grey the best fixed policies")
	return os.WriteFile(filepath.Join(dir, "forecast-suggest.svg"), []byte(saved), 0o644)
}
