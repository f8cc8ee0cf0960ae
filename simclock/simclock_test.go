package simclock_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/simclock"
)

func Example() {
	clock := simclock.New(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC))
	clock.Advance(90 * time.Minute)
	fmt.Println(clock.Now().Format(time.Kitchen))
	// Output: 10:30AM
}

func TestStepsOverNoTimer(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a step over a timer went unnoticed")
		}
	}()
	clock := simclock.New(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC))
	clock.NewTimer(time.Hour)
	clock.Advance(2 * time.Hour)
}
