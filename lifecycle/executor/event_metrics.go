package executor

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// eventMetrics count what becomes of events.
type eventMetrics struct {
	delivered *prometheus.CounterVec // topic, result
}

// resultPruned is the result of an event that nobody received in time.
const resultPruned = "pruned"

func newEventMetrics(n metricNames) *eventMetrics {
	m := &eventMetrics{
		delivered: n.counters("events_delivered_total", "Attempts to deliver events, and events pruned undelivered.", "topic", "result"),
	}
	for _, topic := range lifecycle.AllTopics.List() {
		for _, result := range []string{"ok", "error"} {
			m.delivered.WithLabelValues(topic.String(), result)
		}
	}
	for _, topic := range prunable.List() {
		m.delivered.WithLabelValues(topic.String(), resultPruned)
	}
	return m
}

// attempt counts a delivery.
func (m *eventMetrics) attempt(t lifecycle.Topic, err error) {
	result := "ok"
	if err != nil {
		result = "error"
	}
	m.delivered.WithLabelValues(t.String(), result).Inc()
}

// pruned counts an event that was removed undelivered.
func (m *eventMetrics) pruned(t lifecycle.Topic) {
	m.delivered.WithLabelValues(t.String(), resultPruned).Inc()
}
