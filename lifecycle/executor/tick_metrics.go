package executor

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// tickMetrics are the collectors of the ticks. Label values come from closed sets and start at zero; ids are never labels.
type tickMetrics struct {
	ticks       *prometheus.CounterVec // result
	duration    prometheus.Histogram
	lastSuccess prometheus.Gauge
	lag         *prometheus.HistogramVec // transition
	skipped     *prometheus.CounterVec   // skip_reason
	errors      prometheus.Counter
	conflicts   prometheus.Counter
	held        prometheus.Counter
	evaluated   prometheus.Counter
	backlog     *backlog

	// lags are the series of lag, looked up once.
	lags map[lifecycle.Transition]prometheus.Observer
}

var (
	lagBuckets  = []float64{.1, .5, 1, 5, 15, 30, 60, 120, 300, 600}
	tickBuckets = []float64{.001, .01, .05, .1, .5, 1, 5, 10, 30, 60}
)

func newTickMetrics(n metricNames, store *bounded) *tickMetrics {
	m := &tickMetrics{
		lags:        map[lifecycle.Transition]prometheus.Observer{},
		ticks:       n.counters("ticks_total", "Ticks by result.", "result"),
		duration:    prometheus.NewHistogram(n.histogram("tick_duration_seconds", "How long ticks take.", tickBuckets)),
		lastSuccess: n.gauge("tick_last_success_timestamp_seconds", "When the last tick without an error ended."),
		lag:         prometheus.NewHistogramVec(n.histogram("schedule_lag_seconds", "From the instant a transition was due to its commit.", lagBuckets), []string{"transition"}),
		skipped:     n.counters("transitions_skipped_total", "Transitions that were due and not made, by reason.", "skip_reason"),
		errors:      n.counter("workspace_errors_total", "Errors of single workspaces in ticks."),
		conflicts:   n.counter("commit_conflicts_total", "Changes that came too late because the workspace had changed."),
		held:        n.counter("transitions_held_total", "Transitions held back by a limit, once for each tick."),
		evaluated:   n.counter("workspaces_evaluated_total", "Workspaces evaluated by ticks."),
		backlog:     newBacklog(n, store),
	}
	for _, result := range []string{"ok", "error"} {
		m.ticks.WithLabelValues(result)
	}
	for t := range reasons() {
		m.lags[t] = m.lag.WithLabelValues(t.String())
	}
	for _, r := range lifecycle.SkipReasons() {
		m.skipped.WithLabelValues(string(r))
	}
	return m
}

func (m *tickMetrics) collectors() collectors {
	return collectors{
		m.ticks, m.duration, m.lastSuccess, m.lag, m.skipped, m.errors, m.conflicts, m.held, m.evaluated, m.backlog.due,
		m.backlog.events,
	}
}

// committed records how long after its due instant a build was committed.
func (m *tickMetrics) committed(b *lifecycle.Build, lag time.Duration) {
	if series, ok := m.lags[b.Transition]; ok {
		series.Observe(lag.Seconds())
	}
}

// tick records a tick that ended.
func (m *tickMetrics) tick(s Stats, ended time.Time) {
	result := "ok"
	if s.Err != nil {
		result = "error"
	} else {
		m.lastSuccess.Set(float64(ended.UnixNano()) / 1e9)
	}
	m.ticks.WithLabelValues(result).Inc()
	m.duration.Observe(s.Elapsed.Seconds())
	m.errors.Add(float64(s.Count.Errors))
	m.conflicts.Add(float64(s.Conflicts))
	m.held.Add(float64(s.Held))
	m.skipped.WithLabelValues(string(lifecycle.SkipCap)).Add(float64(s.Held))
	m.evaluated.Add(float64(s.Evaluated))
	for why, n := range s.skips {
		m.skipped.WithLabelValues(string(why)).Add(float64(n))
	}
}

// backlogInterval is the least time between two counts of the backlog, which may be costly.
const backlogInterval = 15 * time.Second

// backlog are the gauges of what waits in the store.
type backlog struct {
	due, events prometheus.Gauge
	store       *bounded // nil if the store does not count
	readAt      atomic.Int64
}

func newBacklog(n metricNames, store *bounded) *backlog {
	if store.gauges == nil {
		store = nil
	}
	return &backlog{
		due:    n.gauge("overdue_workspaces", "Workspaces whose wake had come when the last tick ended."),
		events: n.gauge("outbox_events", "Events not delivered yet when the last tick ended."),
		store:  store,
	}
}

// read sets the gauges. If the store fails, they keep their values.
func (b *backlog) read(ctx context.Context, now time.Time) {
	if b.store == nil || now.UnixNano()-b.readAt.Load() < int64(backlogInterval) {
		return
	}
	waiting, err := b.store.Backlog(ctx, now)
	if err != nil {
		warn(ctx, b.store.logger, "count what waits", err)
		return
	}
	b.readAt.Store(now.UnixNano())
	b.due.Set(float64(waiting.Due))
	b.events.Set(float64(waiting.Events))
}
