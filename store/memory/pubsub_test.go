package memory_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/dormouse-go/dormouse/store/memory"
)

// heard is what a listener was told, and waits for leave before it hears more.
type heard struct {
	leave chan struct{}
	all   []string
}

func (h *heard) Message(m string) {
	<-h.leave
	h.all = append(h.all, m)
}

func (h *heard) Gap() {
	<-h.leave
	h.all = append(h.all, "gap")
}

// A listener hears of a gap when it begins and when it has lagged too far behind, and of every other message in order. One that
// has ended hears nothing, and takes nobody's time.
func TestPubsub(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p memory.Pubsub
		a, b := &heard{leave: make(chan struct{})}, &heard{leave: make(chan struct{})}
		close(b.leave)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 2)
		for _, h := range []*heard{a, b} {
			go func() { ended <- p.Listen(ctx, h) }()
		}
		synctest.Wait()
		publish := func(from, to int) {
			for i := from; i < to; i++ {
				if err := p.Publish(t.Context(), fmt.Sprint(i)); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
		}
		publish(0, 1024) // as many as wait for a
		if want := 1 + 1024; len(b.all) != want || b.all[0] != "gap" || b.all[1] != "0" || b.all[1024] != "1023" {
			t.Errorf("heard %d of %d: %.3q", len(b.all), want, b.all)
		}
		publish(1024, 1026) // too many
		close(a.leave)
		synctest.Wait()
		if want := []string{"gap", "gap", "1024", "1025"}; !slices.Equal(a.all, want) {
			t.Errorf("who lags behind has heard %d: %.5q, want %q", len(a.all), a.all, want)
		}
		publish(1026, 1028)
		if last := a.all[len(a.all)-2:]; !slices.Equal(last, []string{"1026", "1027"}) {
			t.Errorf("afterwards it hears %q", last)
		}
		cancel()
		for range 2 {
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("Listen returns %v", err)
			}
		}
		before := len(a.all)
		publish(1028, 1030)
		if len(a.all) != before {
			t.Error("who has ended hears more")
		}
	})
}
