package rendercache

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// handleMetrics is the collector of Handles; as with the cache, counts are read when it is asked.
type handleMetrics[K comparable, V any] struct {
	handles  *Handles[K, V]
	duration *prometheus.HistogramVec

	values, references, size, acquired *prometheus.Desc
}

func (h *Handles[K, V]) register() error {
	if h.cfg.Registerer == nil {
		return nil
	}
	var constant prometheus.Labels
	if h.cfg.Instance != "" {
		constant = prometheus.Labels{"instance": h.cfg.Instance}
	}
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(h.cfg.Namespace, "render_handles", name), help, labels, constant)
	}
	m := &handleMetrics[K, V]{
		handles:    h,
		values:     desc("values", "Values that somebody holds."),
		references: desc("references", "References to values, those waiting for a fetch included."),
		size:       desc("size_bytes", "Sum of the values' sizes."),
		acquired:   desc("acquired_total", "Acquisitions by how they were answered.", "result"),
		duration: newDurations(prometheus.HistogramOpts{
			Namespace: h.cfg.Namespace, Name: "render_handles_fetch_duration_seconds", ConstLabels: constant, Help: "Time that fetches took.",
		}),
	}
	if err := h.cfg.Registerer.Register(m); err != nil {
		return fmt.Errorf("rendercache: register metrics of handles %q: %w", h.cfg.Instance, err)
	}
	h.metrics = m
	return nil
}

func (h *Handles[K, V]) unregister() {
	if h.metrics != nil {
		h.cfg.Registerer.Unregister(h.metrics)
	}
}

// timed runs a fetch and observes how long it took, whatever it does.
func (h *Handles[K, V]) timed(ctx context.Context, fetch func(context.Context) (V, error)) (value V, err error) {
	began, ok := h.cfg.Clock.Since(h.start), false
	defer func() {
		if h.metrics != nil {
			observe(h.metrics.duration, h.cfg.Clock.Since(h.start)-began, ok)
		}
	}()
	value, err = fetch(ctx)
	ok = err == nil
	return value, err
}

// newDurations returns a histogram by result, both results starting at 0.
func newDurations(opts prometheus.HistogramOpts) *prometheus.HistogramVec {
	opts.Buckets = prometheus.ExponentialBuckets(0.001, 2.5, 12)
	opts.NativeHistogramBucketFactor = 1.1
	h := prometheus.NewHistogramVec(opts, []string{"result"})
	h.WithLabelValues("ok")
	h.WithLabelValues("error")
	return h
}

func observe(h *prometheus.HistogramVec, took time.Duration, ok bool) {
	result := "ok"
	if !ok {
		result = "error"
	}
	h.WithLabelValues(result).Observe(took.Seconds())
}

// Describe implements prometheus.Collector.
func (m *handleMetrics[K, V]) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.values, m.references, m.size, m.acquired} {
		ch <- d
	}
	m.duration.Describe(ch)
}

// Collect implements prometheus.Collector.
func (m *handleMetrics[K, V]) Collect(ch chan<- prometheus.Metric) {
	s := m.handles.Stats()
	gauge := func(d *prometheus.Desc, value float64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value)
	}
	gauge(m.values, float64(s.Values))
	gauge(m.references, float64(s.References))
	gauge(m.size, float64(s.Size))
	for result, n := range map[string]uint64{"hit": s.Hits, "miss": s.Misses, "shared": s.Shared, "error": s.Errors} {
		ch <- prometheus.MustNewConstMetric(m.acquired, prometheus.CounterValue, float64(n), result)
	}
	m.duration.Collect(ch)
}
