package executor

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// metrics are the collectors of one executor. Label values come from closed sets and start at zero; ids are never labels.
type metrics struct {
	ticks       *prometheus.CounterVec   // result
	duration    prometheus.Histogram     // of a tick
	lastSuccess prometheus.Gauge         // timestamp
	lag         *prometheus.HistogramVec // transition
	transitions *prometheus.CounterVec   // transition, reason
	skipped     *prometheus.CounterVec   // skip_reason
	errors      prometheus.Counter
	conflicts   prometheus.Counter
	held        prometheus.Counter
	evaluated   prometheus.Counter
	due         prometheus.Gauge
	outbox      prometheus.Gauge
	delivered   *prometheus.CounterVec // topic, result

	// made and lags are the children of transitions and lag, looked up once.
	made map[madeKey]prometheus.Counter
	lags map[lifecycle.Transition]prometheus.Observer
}

type madeKey struct {
	transition lifecycle.Transition
	reason     lifecycle.Reason
}

var (
	lagBuckets  = []float64{.1, .5, 1, 5, 15, 30, 60, 120, 300, 600}
	tickBuckets = []float64{.001, .01, .05, .1, .5, 1, 5, 10, 30, 60}
)

func newMetrics(namespace string) *metrics {
	opts := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: namespace, Name: name, Help: help}
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts(opts(name, help)))
	}
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts(opts(name, help)), labels)
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts(opts(name, help)))
	}
	histogram := func(name, help string, buckets []float64) prometheus.HistogramOpts {
		return prometheus.HistogramOpts{
			Namespace: namespace, Name: name, Help: help, Buckets: buckets,
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
		}
	}
	m := &metrics{
		made:        map[madeKey]prometheus.Counter{},
		lags:        map[lifecycle.Transition]prometheus.Observer{},
		ticks:       counters("ticks_total", "Ticks by result.", "result"),
		duration:    prometheus.NewHistogram(histogram("tick_duration_seconds", "How long ticks take.", tickBuckets)),
		lastSuccess: gauge("tick_last_success_timestamp_seconds", "When the last tick without an error ended."),
		lag:         prometheus.NewHistogramVec(histogram("schedule_lag_seconds", "From the instant a transition was due to its commit.", lagBuckets), []string{"transition"}),
		transitions: counters("transitions_total", "Committed transitions by reason.", "transition", "reason"),
		skipped:     counters("transitions_skipped_total", "What was due and did not happen, by reason.", "skip_reason"),
		errors:      counter("workspace_errors_total", "Errors of single workspaces in ticks."),
		conflicts:   counter("commit_conflicts_total", "Changes that came too late because the workspace had changed."),
		held:        counter("transitions_held_total", "Transitions held back by a cap, once for each tick."),
		evaluated:   counter("workspaces_evaluated_total", "Workspaces looked at by ticks."),
		due:         gauge("overdue_workspaces", "Workspaces whose wake had come when the last tick ended."),
		outbox:      gauge("outbox_events", "Events not delivered yet when the last tick ended."),
		delivered:   counters("events_delivered_total", "Attempts to deliver events, and events given up.", "topic", "result"),
	}
	m.zero()
	return m
}

// zero creates the series of every closed set, so that the first event shows as an increase.
func (m *metrics) zero() {
	for _, result := range []string{"ok", "error"} {
		m.ticks.WithLabelValues(result)
		for _, topic := range lifecycle.AllTopics.List() {
			m.delivered.WithLabelValues(topic.String(), result)
		}
	}
	for _, topic := range prunable.List() {
		m.delivered.WithLabelValues(topic.String(), pruned)
	}
	for t, reasons := range map[lifecycle.Transition][]lifecycle.Reason{
		lifecycle.TransitionStart:  {lifecycle.ReasonAutostart},
		lifecycle.TransitionStop:   {lifecycle.ReasonAutostop, lifecycle.ReasonFailedCleanup, lifecycle.ReasonDormancy},
		lifecycle.TransitionDelete: {lifecycle.ReasonAutodelete},
	} {
		m.lags[t] = m.lag.WithLabelValues(t.String())
		for _, r := range append(reasons, lifecycle.ReasonManual) {
			m.made[madeKey{t, r}] = m.transitions.WithLabelValues(t.String(), string(r))
		}
	}
	for _, r := range lifecycle.SkipReasons() {
		m.skipped.WithLabelValues(string(r))
	}
}

func (m *metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{
		m.ticks, m.duration, m.lastSuccess, m.lag, m.transitions, m.skipped, m.errors, m.conflicts, m.held, m.evaluated,
		m.due, m.outbox, m.delivered,
	}
}

// register adds the collectors to a registry, all or none.
func (m *metrics) register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	var done []prometheus.Collector
	for _, c := range m.collectors() {
		if err := r.Register(c); err != nil {
			for _, d := range done {
				r.Unregister(d)
			}
			var twice prometheus.AlreadyRegisteredError
			if errors.As(err, &twice) {
				return fmt.Errorf("register metrics: %w; give each executor its own registry, labels or Config.Namespace", err)
			}
			return fmt.Errorf("register metrics: %w", err)
		}
		done = append(done, c)
	}
	return nil
}

// transition records a committed build and how long after its due instant it was committed; builds by hand are never due.
func (m *metrics) transition(c *lifecycle.Change, lag time.Duration) {
	made, ok := m.made[madeKey{c.Build.Transition, c.Build.Reason}]
	if !ok {
		return // a reason of the host's own has no series: label values are a closed set
	}
	made.Inc()
	if c.Build.Reason != lifecycle.ReasonManual {
		m.lags[c.Build.Transition].Observe(lag.Seconds())
	}
}

func (m *metrics) delivery(t lifecycle.Topic, err error) {
	result := "ok"
	if err != nil {
		result = "error"
	}
	m.delivered.WithLabelValues(t.String(), result).Inc()
}

// pruned is the result of an event that nobody received in time.
const pruned = "given_up"

func (m *metrics) prunedEvent(t lifecycle.Topic) {
	m.delivered.WithLabelValues(t.String(), pruned).Inc()
}

func (m *metrics) tick(s Stats, ended time.Time) {
	result := "ok"
	if s.Err != nil {
		result = "error"
	} else {
		m.lastSuccess.Set(float64(ended.UnixNano()) / 1e9)
	}
	m.ticks.WithLabelValues(result).Inc()
	m.duration.Observe(s.Elapsed.Seconds())
	m.errors.Add(float64(len(s.Errors)))
	m.conflicts.Add(float64(s.Conflicts))
	m.held.Add(float64(s.Held))
	m.evaluated.Add(float64(s.Evaluated))
	for _, why := range s.Skipped {
		m.skipped.WithLabelValues(string(why)).Inc()
	}
}
