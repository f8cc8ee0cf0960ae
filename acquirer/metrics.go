package acquirer

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/dispatch"
)

// otherKind is the label of the types that the host has not named.
const otherKind = "other"

var (
	waitBuckets  = []float64{.05, .1, .5, 1, 5, 15, 30, 60, 300, 900, 1800}
	runBuckets   = []float64{1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200}
	storeBuckets = []float64{.001, .005, .01, .05, .1, .5, 1, 5}
)

// metrics are the counters of one acquirer, kept whether or not they are registered.
type metrics struct {
	acquirer *Acquirer
	kinds    kinds

	enqueuedTotal, acquiredTotal, finishedTotal, reapedTotal, timeouts *prometheus.CounterVec
	claims, messages, storeErrors, delays                              *prometheus.CounterVec
	reconnects                                                         prometheus.Counter
	wait, run, store                                                   *prometheus.HistogramVec
	unmatchedJobs                                                      prometheus.Gauge
	jobs, slots, processes, oldest                                     *prometheus.Desc
}

// kinds are the types that the host has named. They and the library's own have a label of their own: nobody who posts jobs makes
// series.
type kinds map[string]bool

func (k kinds) label(t string) string {
	if k[t] || queue.Reserved(t) {
		return t
	}
	return otherKind
}

func (a *Acquirer) register() error {
	m := newMetrics(a, a.cfg.Namespace, a.cfg.Instance)
	a.metrics = m
	for _, t := range a.cfg.Types {
		m.kinds[t] = true
	}
	if a.cfg.Registerer == nil {
		return nil
	}
	if err := a.cfg.Registerer.Register(m); err != nil {
		return fmt.Errorf("acquirer: register metrics: %w", err)
	}
	return nil
}

func (a *Acquirer) unregister() {
	if a.cfg.Registerer != nil {
		a.cfg.Registerer.Unregister(a.metrics)
	}
}

func newMetrics(a *Acquirer, namespace, instance string) *metrics {
	var constant prometheus.Labels
	if instance != "" {
		constant = prometheus.Labels{"instance": instance}
	}
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help, ConstLabels: constant}, labels)
	}
	histograms := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: namespace, Name: name, Help: help, ConstLabels: constant, Buckets: buckets,
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
		}, labels)
	}
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, constant)
	}
	m := &metrics{
		acquirer: a, kinds: make(kinds),
		enqueuedTotal: counters("jobs_enqueued_total", "Jobs enqueued through this process.", "kind"),
		acquiredTotal: counters("jobs_acquired_total", "Jobs handed to workers, by how their lane was found.", "kind", "wake"),
		finishedTotal: counters("jobs_finished_total", "Jobs that reached a final state.", "kind", "result"),
		reapedTotal:   counters("jobs_reaped_total", "Attempts of lost workers and jobs that expired.", "cause"),
		timeouts:      counters("job_timeouts_total", "Runs that reached their limit.", "kind"),
		claims:        counters("job_claims_total", "Claims, by whether they got as many jobs as they asked for.", "result"),
		messages:      counters("job_announcements_total", "Messages sent to other processes.", "result"),
		storeErrors:   counters("job_store_errors_total", "Failed calls of the store, by operation.", "operation"),
		delays:        counters("job_delayed_calls_total", "Calls that waited because their organization was beyond its share, by operation.", "operation"),
		reconnects: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Name: "notify_reconnects_total", Help: "Times that the connection for announcements ended.", ConstLabels: constant,
		}),
		wait:  histograms("job_queue_wait_seconds", "From when a job could be claimed to when it was handed out.", waitBuckets, "kind"),
		run:   histograms("job_run_seconds", "From when a job was handed out to its end.", runBuckets, "kind", "result"),
		store: histograms("job_store_operation_duration_seconds", "Calls of the store by operation.", storeBuckets, "operation", "result"),
		unmatchedJobs: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: namespace, Name: "jobs_unmatched", Help: "Ready jobs that no live worker can run, as the reporting process sees it.", ConstLabels: constant,
		}),
		jobs:      desc("jobs", "Running jobs of all processes, as of the last heartbeat.", "kind", "status"),
		slots:     desc("worker_slots", "Slots of this process's workers.", "state"),
		oldest:    desc("job_oldest_run_seconds", "Age of the oldest run whose lease this process keeps.", "kind"),
		processes: desc("job_processes", "Live processes that hand out jobs, as of the last heartbeat."),
	}
	m.zero()
	return m
}

// zero lets every series of a closed set begin at 0, so that its first increase is seen.
func (m *metrics) zero() {
	for _, cause := range []string{"heartbeat_lost", "pending_too_long"} {
		m.reapedTotal.WithLabelValues(cause)
	}
	for _, result := range []string{"full", "part", "empty"} {
		m.claims.WithLabelValues(result)
	}
	for _, result := range []string{"ok", "error"} {
		m.messages.WithLabelValues(result)
	}
}

func (m *metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{
		m.enqueuedTotal, m.acquiredTotal, m.finishedTotal, m.reapedTotal, m.timeouts, m.claims, m.messages, m.storeErrors, m.delays,
		m.reconnects, m.wait, m.run, m.store, m.unmatchedJobs,
	}
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range m.collectors() {
		c.Describe(ch)
	}
	ch <- m.jobs
	ch <- m.slots
	ch <- m.processes
	ch <- m.oldest
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	for _, c := range m.collectors() {
		c.Collect(ch)
	}
	s := m.acquirer.Stats()
	gauge := func(d *prometheus.Desc, value int, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(value), labels...)
	}
	oldest := make(map[string]time.Duration)
	for kind, age := range s.Oldest {
		label := m.kinds.label(kind)
		oldest[label] = max(oldest[label], age)
	}
	for kind, age := range oldest {
		ch <- prometheus.MustNewConstMetric(m.oldest, prometheus.GaugeValue, age.Seconds(), kind)
	}
	gauge(m.slots, s.Waiting, "idle")
	gauge(m.slots, s.Holding, "busy")
	gauge(m.processes, s.Processes)
	byKind := make(map[string]int)
	for kind, n := range s.Running {
		byKind[m.kinds.label(kind.Type)] += n
	}
	for kind, n := range byKind {
		gauge(m.jobs, n, kind, "running")
	}
}

func (m *metrics) enqueued(jobs []queue.Job) {
	for _, job := range jobs {
		if !job.Duplicate {
			m.enqueuedTotal.WithLabelValues(m.kinds.label(job.Type)).Inc()
		}
	}
}

func (m *metrics) acquired(job queue.Job, cause dispatch.Cause) {
	kind := m.kinds.label(job.Type)
	m.acquiredTotal.WithLabelValues(kind, string(cause)).Inc()
	m.wait.WithLabelValues(kind).Observe(max(0, job.StartedAt.Sub(job.ReadyAt).Seconds()))
}

func (m *metrics) claim(got, wanted int) {
	result := "part"
	switch got {
	case 0:
		result = "empty"
	case wanted:
		result = "full"
	}
	m.claims.WithLabelValues(result).Inc()
}

// result is the label of a final state.
func result(s queue.State) string {
	switch s {
	case queue.Succeeded:
		return "ok"
	case queue.Failed:
		return "failed"
	}
	return "canceled"
}

func (m *metrics) finished(job queue.Job) {
	m.finishedTotal.WithLabelValues(m.kinds.label(job.Type), result(job.State)).Inc()
}

func (m *metrics) ran(job queue.Job, started time.Time) {
	m.finished(job)
	if !started.IsZero() {
		m.run.WithLabelValues(m.kinds.label(job.Type), result(job.State)).Observe(max(0, job.EndedAt.Sub(started).Seconds()))
	}
}

func (m *metrics) timedOut(job queue.Job) { m.timeouts.WithLabelValues(m.kinds.label(job.Type)).Inc() }

func (m *metrics) delayed(operation string) { m.delays.WithLabelValues(operation).Inc() }

func (m *metrics) reaped(cause string) { m.reapedTotal.WithLabelValues(cause).Inc() }

func (m *metrics) unmatched(n int) { m.unmatchedJobs.Set(float64(n)) }

func (m *metrics) reconnected() { m.reconnects.Inc() }

func (m *metrics) published(err error) {
	if err != nil {
		m.messages.WithLabelValues("error").Inc()
		return
	}
	m.messages.WithLabelValues("ok").Inc()
}

func (m *metrics) storeCall(operation string, took time.Duration, err error) {
	label := "ok"
	if err != nil && !queue.IsAnswer(err) {
		label = "error"
		m.storeErrors.WithLabelValues(operation).Inc()
	}
	m.store.WithLabelValues(operation, label).Observe(took.Seconds())
}
