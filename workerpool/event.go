package workerpool

import (
	"context"
	"log/slog"
	"time"
)

// EventKind says what an [Event] is about.
type EventKind string

// The kinds of events.
const (
	// EventState: a worker is in a new state, From the one before.
	EventState EventKind = "worker.state"
	// EventBehavior: somebody, or the pool, holds, drains or frees a worker.
	EventBehavior EventKind = "worker.behavior"
	// EventCreateFailed: the provider refused, or failed to create, a worker.
	EventCreateFailed EventKind = "worker.create_failed"
	// EventJob: a job began or ended on a worker, or was lost with it; Text is the kind of the record.
	EventJob EventKind = "worker.job"
	// EventUnkillable: a job does not end although it was asked to for TermTimeout.
	EventUnkillable EventKind = "worker.job_unkillable"
	// EventDuplicate: a job runs on two workers. It is killed on the one of the event.
	EventDuplicate EventKind = "worker.job_duplicate"
	// EventBrake: many workers fail together, or are missing from a listing, and nothing is destroyed or dropped for
	// it. EventBrakeReleased: it is over.
	EventBrake         EventKind = "pool.brake"
	EventBrakeReleased EventKind = "pool.brake_released"
	// EventListing: a listing failed, or shows something that cannot be: an id twice, none, or an instance of another
	// pool.
	EventListing EventKind = "pool.listing"
	// EventTags: the tags of an instance cannot be read, or the provider does not keep them as they were set.
	EventTags EventKind = "worker.tags"
	// EventPaused: creates are paused. Reason and Text say why.
	EventPaused EventKind = "pool.paused"
)

// Event is something that happened to the pool and may concern people.
type Event struct {
	Kind   EventKind
	At     time.Time
	Worker InstanceID
	Type   string
	Job    JobID
	From   State
	To     State
	Reason Reason
	Text   string
}

// LogValue implements [slog.LogValuer]: what is not empty.
func (e Event) LogValue() slog.Value {
	attrs := []slog.Attr{}
	add := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	add("worker_id", string(e.Worker))
	add("type", e.Type)
	add("job_id", string(e.Job))
	if e.Kind == EventState {
		add("from", e.From.String())
		add("to", e.To.String())
	}
	add("reason", string(e.Reason))
	add("text", e.Text)
	return slog.GroupValue(attrs...)
}

const maxEvents = 10_000

// emit notes an event. The caller holds the lock.
func (p *Pool) emit(e Event) {
	e.At = p.now()
	if len(p.events) >= maxEvents {
		p.stats.EventsDropped++
		return
	}
	p.events = append(p.events, e)
	wake(p.eventWake)
}

// deliver gives events to the host and to the log until ctx ends, and then what is left.
func (p *Pool) deliver(ctx context.Context) {
	for over := false; ; {
		p.mu.Lock()
		events := p.events
		p.events = nil
		p.mu.Unlock()
		for _, e := range events {
			p.log(ctx, e)
			p.tellHost(ctx, e)
		}
		if over && len(events) == 0 {
			return
		}
		select {
		case <-ctx.Done():
			over = true
		case <-p.eventWake:
		}
	}
}

// tellHost gives an event to the host.
func (p *Pool) tellHost(ctx context.Context, e Event) {
	if p.cfg.Events == nil {
		return
	}
	err := p.host.Tell(ctx, func() error {
		return protect(func() error { p.cfg.Events(e); return nil })
	})
	if err != nil {
		p.cfg.Logger.Error("event not told", "event", e.Kind, "error", err)
	}
}

func (p *Pool) log(ctx context.Context, e Event) {
	level := slog.LevelInfo
	switch e.Kind {
	case EventJob:
		level = slog.LevelDebug
	case EventCreateFailed, EventListing, EventTags, EventPaused, EventUnkillable, EventDuplicate, EventBrake:
		level = slog.LevelWarn
	}
	p.cfg.Logger.Log(ctx, level, string(e.Kind), slog.Any("event", e))
}

func wake(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
