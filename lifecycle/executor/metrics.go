package executor

import (
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// metricNames is what the metrics of one client or executor have in common.
type metricNames struct {
	namespace, instance string
}

func (n metricNames) opts(name, help string) prometheus.Opts {
	o := prometheus.Opts{Namespace: n.namespace, Name: name, Help: help}
	if n.instance != "" {
		o.ConstLabels = prometheus.Labels{"instance": n.instance}
	}
	return o
}

func (n metricNames) counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts(n.opts(name, help)))
}

func (n metricNames) counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts(n.opts(name, help)), labels)
}

func (n metricNames) gauge(name, help string) prometheus.Gauge {
	return prometheus.NewGauge(prometheus.GaugeOpts(n.opts(name, help)))
}

func (n metricNames) histogram(name, help string, buckets []float64) prometheus.HistogramOpts {
	o := n.opts(name, help)
	return prometheus.HistogramOpts{
		Namespace: o.Namespace, Name: o.Name, Help: o.Help, ConstLabels: o.ConstLabels, Buckets: buckets,
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
	}
}

// collectors are several collectors as one, so that a registry takes all of them or none.
type collectors []prometheus.Collector

// Describe implements prometheus.Collector.
func (c collectors) Describe(ch chan<- *prometheus.Desc) {
	for _, one := range c {
		one.Describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (c collectors) Collect(ch chan<- prometheus.Metric) {
	for _, one := range c {
		one.Collect(ch)
	}
}

// registration is the stay of collectors in a host's registry.
type registration struct {
	once       sync.Once
	registerer prometheus.Registerer
	all        collectors
}

func register(r prometheus.Registerer, all ...prometheus.Collector) (*registration, error) {
	if r != nil {
		if err := r.Register(collectors(all)); err != nil {
			return nil, fmt.Errorf("register metrics: %w; two on one registerer need different Instances", err)
		}
	}
	return &registration{registerer: r, all: all}, nil
}

func (r *registration) close() {
	if r.registerer != nil {
		r.once.Do(func() { r.registerer.Unregister(r.all) })
	}
}

// transitionCounter counts committed builds, those of ticks and those asked for by people.
type transitionCounter struct {
	*prometheus.CounterVec
	// made are its series, looked up once.
	made map[madeKey]prometheus.Counter
}

type madeKey struct {
	transition lifecycle.Transition
	reason     lifecycle.Reason
}

// reasons are the reasons for which ticks make transitions.
func reasons() map[lifecycle.Transition][]lifecycle.Reason {
	return map[lifecycle.Transition][]lifecycle.Reason{
		lifecycle.TransitionStart:  {lifecycle.ReasonAutostart},
		lifecycle.TransitionStop:   {lifecycle.ReasonAutostop, lifecycle.ReasonFailedCleanup, lifecycle.ReasonDormancy},
		lifecycle.TransitionDelete: {lifecycle.ReasonAutodelete},
	}
}

func newTransitionCounter(n metricNames) *transitionCounter {
	c := &transitionCounter{
		CounterVec: n.counters("transitions_total", "Committed transitions by reason.", "transition", "reason"),
		made:       map[madeKey]prometheus.Counter{},
	}
	for t, known := range reasons() {
		for _, r := range append(known, lifecycle.ReasonManual) {
			c.made[madeKey{t, r}] = c.WithLabelValues(t.String(), string(r))
		}
	}
	return c
}

// add counts a committed build. A reason of the host's own has no series: label values are a closed set.
func (c *transitionCounter) add(b *lifecycle.Build) {
	if series, ok := c.made[madeKey{b.Transition, b.Reason}]; ok {
		series.Inc()
	}
}
