package storetest

import (
	"context"
	"errors"
	"time"

	"github.com/dormouse-go/dormouse/prewarm"
)

var memberWatchTests = []memberTest{{"Announcements", memberWatchAnnouncements}}

func memberWatchAnnouncements(k *memberKit) {
	w, ok := k.store.(prewarm.Watcher)
	if !ok {
		k.t.Skip("the store is no prewarm.Watcher")
	}
	ctx, cancel := context.WithCancel(k.ctx)
	heard, ended := make(chan struct{}, 100), make(chan error, 1)
	go func() { ended <- w.WatchMembers(ctx, memberPool, func() { heard <- struct{}{} }) }()
	k.hears(heard, "a watch wakes once when it has begun")
	k.noError(w.AnnounceMembers(k.ctx, "other"), "AnnounceMembers")
	k.noError(w.AnnounceMembers(k.ctx, memberPool), "AnnounceMembers")
	k.hears(heard, "a watch wakes at an announcement of its pool")
	k.must(len(heard) == 0, "and at none of another", "%d more", len(heard))
	cancel()
	err := <-ended
	k.must(errors.Is(err, context.Canceled), "a watch that is ended returns the error of its context", "%v", err)
}

func (k *memberKit) hears(heard <-chan struct{}, rule string) {
	k.t.Helper()
	late := time.NewTimer(20 * time.Second)
	defer late.Stop()
	select {
	case <-heard:
	case <-late.C:
		k.must(false, rule, "nothing within 20 seconds")
	}
}
