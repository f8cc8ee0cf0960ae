package prewarm

import (
	"context"
	"time"

	"github.com/dormouse-go/dormouse/internal/backoff"
	"github.com/dormouse-go/dormouse/internal/outcall"
)

// announcePause is the least time between two announcements: members that become ready together are one.
const announcePause = 20 * time.Millisecond

// announceLoop tells other processes that somebody who waits there may look, and who waits here.
func (p *Pool) announceLoop(ctx context.Context) {
	w, ok := p.store.(Watcher)
	if !ok {
		return
	}
	for {
		note, news := "", true
		select {
		case <-ctx.Done():
			return
		case <-p.ready:
		case <-p.lined:
			note, news = p.tell()
		}
		if !news {
			continue
		}
		_, err := askStore(ctx, p, "announce", func(ctx context.Context) (struct{}, error) {
			return struct{}{}, w.AnnounceMembers(ctx, p.cfg.Spec.Name, note)
		})
		if err != nil && ctx.Err() == nil {
			p.cfg.Logger.Warn("a ready member, or a claim that waits, was not announced; others look by themselves", "error", err)
		}
		p.pause(ctx, announcePause, nil, "pool", "announce")
	}
}

// hearLoop looks when other processes say so.
func (p *Pool) hearLoop(ctx context.Context) {
	w, ok := p.store.(Watcher)
	if !ok {
		return
	}
	for failures := 0; ctx.Err() == nil; failures++ {
		begun := p.now()
		_, err := answerOf(ctx, p, outcall.Name{Kind: "hear announcements"}, func(ctx context.Context) (struct{}, error) {
			return struct{}{}, w.WatchMembers(ctx, p.cfg.Spec.Name, p.hear)
		}, nil)
		if ctx.Err() != nil {
			return
		}
		p.cfg.Logger.Warn("announcements ended", "error", err)
		if p.now().Sub(begun) > lastPause {
			failures = 0
		}
		p.pause(ctx, backoff.Doubled(firstPause, failures, lastPause), nil, "pool", "hear")
	}
}
