package workerpool

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics is the pool's collector. All but the histograms is read from the pool's own counters when it is asked.
type metrics struct {
	pool *Pool

	calls                       *prometheus.CounterVec
	boot, shutdown              prometheus.Histogram
	probe                       *prometheus.HistogramVec
	workers, slots, jobs, price *prometheus.Desc
	cost, scale, createErrors   *prometheus.Desc
	records, listings, brake    *prometheus.Desc
	paused, atQuota, dropped    *prometheus.Desc
	bootOutcomes, disappeared   *prometheus.Desc
	stuck                       *prometheus.Desc
}

func (p *Pool) register() error {
	p.metrics = newMetrics(p)
	if p.cfg.Registerer == nil {
		return nil
	}
	if err := p.cfg.Registerer.Register(p.metrics); err != nil {
		return fmt.Errorf("workerpool: register metrics of pool %q: %w", p.cfg.Name, err)
	}
	return nil
}

func (p *Pool) unregister() {
	if p.cfg.Registerer != nil {
		p.cfg.Registerer.Unregister(p.metrics)
	}
}

func newMetrics(p *Pool) *metrics {
	constant := prometheus.Labels{"pool": p.cfg.Name}
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(p.cfg.Namespace, "workerpool", name), help, labels, constant)
	}
	histogram := func(name, help string, buckets []float64) prometheus.HistogramOpts {
		return prometheus.HistogramOpts{
			Namespace: p.cfg.Namespace, Subsystem: "workerpool", Name: name, Help: help, ConstLabels: constant,
			Buckets: buckets, NativeHistogramBucketFactor: 1.1,
		}
	}
	long := []float64{1, 5, 15, 30, 60, 120, 300, 600, 1800}
	m := &metrics{
		pool:         p,
		workers:      desc("workers", "Workers by state.", "state"),
		slots:        desc("slots", "Slots of the ready workers that take jobs.", "state"),
		jobs:         desc("jobs", "Jobs on workers."),
		price:        desc("price_per_hour", "Sum of the workers' prices."),
		cost:         desc("cost_total", "What the workers have cost, by what they did.", "use"),
		scale:        desc("scale_total", "Workers created and shut down, by the rule that decided.", "direction", "reason"),
		createErrors: desc("create_errors_total", "Creates that the provider refused or failed.", "class"),
		bootOutcomes: desc("boots_total", "Workers that became ready, or did not in time.", "result"),
		disappeared:  desc("disappeared_total", "Workers that a listing lacked although nobody had shut them down."),
		records:      desc("records_total", "What the queue was told of jobs.", "kind"),
		listings:     desc("listing_problems_total", "Listings that failed, were held back, or showed what cannot be.", "problem"),
		brake:        desc("braked", "1 while so many workers fail that none is shut down for it."),
		paused:       desc("pauses", "Pauses of creates."),
		atQuota:      desc("at_quota", "1 while nothing may be created because of a limit or a quota."),
		dropped:      desc("events_dropped_total", "Events that the host did not take in time."),
		stuck:        desc("stuck_calls", "Calls of the provider, the executor, the queue and the host that were given up and have not returned."),
		boot:         prometheus.NewHistogram(histogram("boot_duration_seconds", "Time from a create to a worker that is ready.", long)),
		shutdown:     prometheus.NewHistogram(histogram("shutdown_duration_seconds", "Time from the first request to go to the end of a worker.", long)),
		probe: prometheus.NewHistogramVec(histogram("probe_duration_seconds", "Time that probes took.",
			[]float64{.005, .025, .1, .5, 1, 5, 15, 60}), []string{"result"}),
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: p.cfg.Namespace, Subsystem: "workerpool", Name: "provider_calls_total", Help: "Calls of the provider.", ConstLabels: constant,
		}, []string{"operation", "result"}),
	}
	for _, operation := range []string{"create", "list", "destroy", "set_tags"} {
		for _, result := range []string{"ok", "error"} {
			m.calls.WithLabelValues(operation, result)
		}
	}
	for _, result := range []string{"ok", "error"} {
		m.probe.WithLabelValues(result)
	}
	return m
}

func result(err error) string {
	if err != nil {
		return "error"
	}
	return "ok"
}

func (m *metrics) called(operation string, err error) {
	m.calls.WithLabelValues(operation, result(err)).Inc()
}

func (m *metrics) probed(err error, d time.Duration) {
	m.probe.WithLabelValues(result(err)).Observe(d.Seconds())
}

func (m *metrics) booted(d time.Duration) { m.boot.Observe(d.Seconds()) }

func (m *metrics) left(d time.Duration) { m.shutdown.Observe(d.Seconds()) }

func (m *metrics) parts() []prometheus.Collector {
	return []prometheus.Collector{m.calls, m.boot, m.shutdown, m.probe}
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		m.workers, m.slots, m.jobs, m.price, m.cost, m.scale, m.createErrors, m.bootOutcomes, m.disappeared, m.records,
		m.listings, m.brake, m.paused, m.atQuota, m.dropped, m.stuck,
	} {
		ch <- d
	}
	for _, c := range m.parts() {
		c.Describe(ch)
	}
}

// The closed sets of the labels, so that every series exists from the start.
var (
	createReasons   = []Reason{ReasonJob, ReasonFloor, ReasonSpare, ReasonRequest}
	shutdownReasons = []Reason{
		ReasonIdle, ReasonUnneeded, ReasonMakeRoom, ReasonTypeRemoved, ReasonDrained, ReasonUnkillable, ReasonBootTimeout,
		ReasonProbeTimeout, ReasonKilled, ReasonProvider, ReasonRequest,
	}
	errorClasses = []Reason{ReasonRateLimit, ReasonQuota, ReasonCapacity, ReasonCreateFailed}
	recordKinds  = []RecordKind{Ended, NotStarted, Lost, Released}
)

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	count := func(d *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, value, labels...)
	}
	counts, cost, stats := m.pool.Counts(), m.pool.Cost(), m.pool.Stats()
	for s := range Gone {
		gauge(m.workers, float64(counts.Workers[s]), s.String())
	}
	gauge(m.slots, float64(counts.Used), "busy")
	gauge(m.slots, float64(counts.Slots-counts.Used), "idle")
	gauge(m.jobs, float64(counts.Jobs))
	gauge(m.price, cost.PerHour)
	gauge(m.brake, flag(counts.Braked))
	gauge(m.paused, float64(len(m.pool.Pauses())))
	gauge(m.atQuota, flag(m.pool.AtQuota()))
	count(m.cost, cost.Booting, "booting")
	count(m.cost, cost.Idle, "idle")
	count(m.cost, cost.Busy, "busy")
	count(m.cost, cost.Leaving, "leaving")
	for _, r := range createReasons {
		count(m.scale, float64(stats.Creates[r]), "out", string(r))
	}
	for _, r := range shutdownReasons {
		count(m.scale, float64(stats.Shutdowns[r]), "in", string(r))
	}
	for _, r := range errorClasses {
		count(m.createErrors, float64(stats.CreateErrors[r]), string(r))
	}
	for _, k := range recordKinds {
		count(m.records, float64(stats.Records[k]), string(k))
	}
	count(m.bootOutcomes, float64(stats.Boots), "ok")
	count(m.bootOutcomes, float64(stats.BootFailures), "timeout")
	count(m.disappeared, float64(stats.Disappeared))
	count(m.listings, float64(stats.ListingErrors), "failed")
	count(m.listings, float64(stats.ListingProblems), "instance")
	count(m.listings, float64(stats.BrakedListings), "braked")
	count(m.dropped, float64(stats.EventsDropped))
	gauge(m.stuck, float64(stats.Stuck))
	for _, c := range m.parts() {
		c.Collect(ch)
	}
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
