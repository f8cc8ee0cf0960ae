package storetest

import (
	"context"
	"errors"
	"strings"
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
	heard, ended := make(chan string, 100), make(chan error, 1)
	go func() { ended <- w.WatchMembers(ctx, memberPool, func(note string) { heard <- note }) }()
	k.hears(heard, "", "a watch hears an empty note when it has begun")
	k.noError(w.AnnounceMembers(k.ctx, "other", ""), "AnnounceMembers")
	k.noError(w.AnnounceMembers(k.ctx, memberPool, ""), "AnnounceMembers")
	k.hears(heard, "", "a watch hears that a member of its pool may be ready")
	long := strings.Repeat("ü\n", prewarm.MaxNote/3)
	k.noError(w.AnnounceMembers(k.ctx, "other", long), "AnnounceMembers")
	k.noError(w.AnnounceMembers(k.ctx, memberPool, long), "AnnounceMembers")
	k.hears(heard, long, "a watch hears the notes of its pool, as they were given")
	k.must(len(heard) == 0, "and at none of another", "%d more", len(heard))
	cancel()
	err := <-ended
	k.must(errors.Is(err, context.Canceled), "a watch that is ended returns the error of its context", "%v", err)
}

func (k *memberKit) hears(heard <-chan string, want, rule string) {
	k.t.Helper()
	late := time.NewTimer(watchTimeout)
	defer late.Stop()
	select {
	case note := <-heard:
		k.must(note == want, rule, "heard %q", note)
	case <-late.C:
		k.must(false, rule, "nothing within %v", watchTimeout)
	}
}
