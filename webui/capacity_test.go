package webui_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/dormouse-go/dormouse/webui"
)

// What is said of a week that stays within capacity, with some room and with none.
func TestWeekWithinCapacity(t *testing.T) {
	t.Parallel()
	most := regexp.MustCompile(`The most is (\d+), on [^:]+:\d\d: `).FindStringSubmatch(page(t, newPages(t, scripted(), webui.Config{Capacity: 1000}), "/"))
	if most == nil {
		t.Fatal("the page does not say how many will run at once")
	}
	n, err := strconv.Atoi(most[1])
	if err != nil {
		t.Fatal(err)
	}
	for capacity, want := range map[int]string{
		n:     ": as many as the capacity.",
		n + 1: fmt.Sprintf(": 1 below the capacity of %d.", n+1),
	} {
		if text := page(t, newPages(t, scripted(), webui.Config{Capacity: capacity}), "/"); !strings.Contains(text, most[0][:len(most[0])-2]+want) {
			t.Errorf("with a capacity of %d the page does not say %q", capacity, want)
		}
	}
}
