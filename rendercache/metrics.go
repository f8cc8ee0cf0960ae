package rendercache

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics is the cache's collector. All but the histogram is read from the cache's own counters when it is asked, so
// a hit pays for one counter, not two.
type metrics[K comparable, V any] struct {
	cache    *Cache[K, V]
	duration *prometheus.HistogramVec

	requests, causes, evictions                *prometheus.Desc
	failureHits, refreshes, rejected           *prometheus.Desc
	running, entries, bytes                    *prometheus.Desc
	classicHits, classicMisses, classicEntries *prometheus.Desc
}

func (c *Cache[K, V]) register() error {
	if c.cfg.Registerer == nil {
		return nil
	}
	m := newMetrics(c)
	if err := c.cfg.Registerer.Register(m); err != nil {
		return fmt.Errorf("rendercache: register metrics of cache %q: %w", c.cfg.Instance, err)
	}
	c.metrics = m
	return nil
}

func (c *Cache[K, V]) unregister() {
	if c.metrics != nil {
		c.cfg.Registerer.Unregister(c.metrics)
	}
}

func newMetrics[K comparable, V any](c *Cache[K, V]) *metrics[K, V] {
	var constant prometheus.Labels
	if c.cfg.Instance != "" {
		constant = prometheus.Labels{"instance": c.cfg.Instance}
	}
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(c.cfg.Namespace, "render_cache", name), help, labels, constant)
	}
	m := &metrics[K, V]{
		cache:       c,
		requests:    desc("requests_total", "Requests by how they were answered.", "result"),
		causes:      desc("miss_causes_total", "Renders by the reason why the key was not found.", "cause"),
		evictions:   desc("evictions_total", "Entries that have left the cache.", "cause"),
		failureHits: desc("failure_hits_total", "Requests answered with a remembered failure."),
		refreshes:   desc("refreshes_total", "Renders started behind a hit."),
		rejected:    desc("rejected_total", "Values heavier than the whole budget."),
		running:     desc("renders_running", "Renders running now."),
		entries:     desc("entries", "Entries in the cache."),
		duration: newDurations(prometheus.HistogramOpts{
			Namespace: c.cfg.Namespace, Name: "render_duration_seconds", ConstLabels: constant, Help: "Time that renders took.",
		}),
	}
	if c.cfg.Weigh != nil {
		m.bytes = desc("size_bytes", "Sum of the entries' weights.")
	}
	if c.cfg.ClassicMetrics {
		m.classicHits = desc("hits_total", "Requests whose value was there.")
		m.classicMisses = desc("misses_total", "Requests whose value was not there.")
		m.classicEntries = desc("size_entries", "Entries in the cache.")
	}
	return m
}

// Describe implements prometheus.Collector.
func (m *metrics[K, V]) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		m.requests, m.causes, m.evictions, m.failureHits, m.refreshes, m.rejected, m.running, m.entries,
		m.bytes, m.classicHits, m.classicMisses, m.classicEntries,
	} {
		if d != nil {
			ch <- d
		}
	}
	m.duration.Describe(ch)
}

// Collect implements prometheus.Collector.
func (m *metrics[K, V]) Collect(ch chan<- prometheus.Metric) {
	s := m.cache.Stats()
	send := func(d *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) {
		if d != nil {
			ch <- prometheus.MustNewConstMetric(d, kind, value, labels...)
		}
	}
	count := func(d *prometheus.Desc, value uint64, labels ...string) {
		send(d, prometheus.CounterValue, float64(value), labels...)
	}
	count(m.requests, s.Hits, "hit")
	count(m.requests, s.Misses, "miss")
	count(m.requests, s.Shared, "shared")
	count(m.requests, s.Errors, "error")
	for cause, n := range s.Causes {
		count(m.causes, n, cause.String())
	}
	for cause, n := range s.Evictions {
		count(m.evictions, n, cause.String())
	}
	count(m.failureHits, s.FailureHits)
	count(m.refreshes, s.Refreshes)
	count(m.rejected, s.Rejected)
	send(m.running, prometheus.GaugeValue, float64(s.Running))
	send(m.entries, prometheus.GaugeValue, float64(s.Entries))
	send(m.bytes, prometheus.GaugeValue, float64(s.Weight))
	count(m.classicHits, s.Hits)
	count(m.classicMisses, s.Misses+s.Shared+s.Errors)
	send(m.classicEntries, prometheus.GaugeValue, float64(s.Entries))
	m.duration.Collect(ch)
}
