package prewarm

import (
	"context"
	"log/slog"
	"reflect"
	"strings"
	"time"
)

// PoolEventKind says what a [PoolEvent] is about. It is a closed set.
type PoolEventKind string

// The kinds of events.
const (
	// PoolPaused: By has paused the pool. PoolResumed: it is not paused any more.
	PoolPaused  PoolEventKind = "pool.paused"
	PoolResumed PoolEventKind = "pool.resumed"
	// PoolBreakerOpened: so many creations failed in a row that one at a time is tried; Text is what the last one said.
	// PoolBreakerClosed: one became ready, or somebody resumed the pool.
	PoolBreakerOpened PoolEventKind = "pool.breaker_opened"
	PoolBreakerClosed PoolEventKind = "pool.breaker_closed"
	// PoolAlert: too few members are ready, see Config.AlertBelow. PoolAlertOver: enough are again.
	PoolAlert     PoolEventKind = "pool.alert"
	PoolAlertOver PoolEventKind = "pool.alert_over"
	// PoolReloaded: after an alert of Config.AlertAfter what the backend has was listed, and taken in.
	PoolReloaded PoolEventKind = "pool.reloaded"
	// PoolSpecChanged: the pool follows another spec; Text names the fields that differ, or says why it cannot be read.
	PoolSpecChanged PoolEventKind = "pool.spec_changed"
)

// PoolEvent is something that happened to a pool as a whole and may concern people. What happens to its members is in their
// rows, and where they are workspaces in the audit of those.
type PoolEvent struct {
	Kind PoolEventKind
	// At is when this process saw it.
	At time.Time
	// Pool and Version are those of the spec.
	Pool, Version string
	// By is who asked for it, "" for nobody. Text says more, for people; the kinds say what.
	By, Text string
}

// LogValue implements [slog.LogValuer]: what is not empty.
func (e PoolEvent) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("version", e.Version)}
	for _, a := range []struct{ key, value string }{{"by", e.By}, {"text", e.Text}} {
		if a.value != "" {
			attrs = append(attrs, slog.String(a.key, a.value))
		}
	}
	return slog.GroupValue(attrs...)
}

// notify notes an event for the host and for the log. Nobody waits for either.
func (p *Pool) notify(e PoolEvent) {
	e.At, e.Pool = p.now(), p.cfg.Spec.Name
	p.notes.add(e)
}

// notifyLoop gives events to the host and to the log, in their order.
func (p *Pool) notifyLoop(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			return
		case <-p.notes.wake:
		}
		p.notifyAll(ctx)
	}
}

func (p *Pool) notifyAll(ctx context.Context) {
	for _, e := range p.notes.take() {
		level := slog.LevelInfo
		if e.Kind == PoolAlert || e.Kind == PoolBreakerOpened {
			level = slog.LevelWarn
		}
		p.cfg.Logger.Log(ctx, level, string(e.Kind), slog.Any("event", e))
		p.tellHost(ctx, e)
	}
}

// tellHost gives an event to the host.
func (p *Pool) tellHost(ctx context.Context, e PoolEvent) {
	if p.cfg.Events == nil {
		return
	}
	p.noteStuck(p.host.Tell(ctx, func() error {
		return p.protect(p.host.Kind, func() error { p.cfg.Events(e); return nil })
	})) // a panic is in the log
}

// notifyState tells what a written state of the pool changes. Of all replicas, the one that has written it tells.
func (p *Pool) notifyState(before, after PoolState) {
	p.mu.Lock()
	retry, version := p.spec.Retry, p.spec.Version
	p.mu.Unlock()
	switch {
	case after.Paused && (!before.Paused || before.PausedBy != after.PausedBy):
		p.notify(PoolEvent{Kind: PoolPaused, Version: version, By: after.PausedBy})
	case before.Paused && !after.Paused:
		p.notify(PoolEvent{Kind: PoolResumed, Version: version})
	}
	was, is := before.Failures, after.Failures
	switch {
	case is.Open(retry) && !(was.Open(retry) && was.Version == is.Version):
		p.notify(PoolEvent{Kind: PoolBreakerOpened, Version: is.Version, Text: is.Message})
	case was.Open(retry) && !is.Open(retry):
		p.notify(PoolEvent{Kind: PoolBreakerClosed, Version: was.Version})
	}
}

// differences are the fields in which two specs differ, in their order.
func differences(a, b Spec) (names []string) {
	x, y := reflect.ValueOf(a), reflect.ValueOf(b)
	for i := range x.NumField() {
		if !reflect.DeepEqual(x.Field(i).Interface(), y.Field(i).Interface()) {
			names = append(names, x.Type().Field(i).Name)
		}
	}
	return names
}

// notifySpec tells that the pool follows another spec, if it does.
func (p *Pool) notifySpec(before, after Spec) {
	names := differences(before, after)
	if len(names) == 0 {
		return
	}
	e := PoolEvent{Kind: PoolSpecChanged, Version: after.Version, Text: strings.Join(names, ", ")}
	if after.Err != nil {
		e.Text = "cannot be read: " + after.Err.Error()
	}
	p.notify(e)
}
