package prewarm

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics is the pool's collector. All but the histogram is read from the pool's counters when it is asked.
type metrics struct {
	pool     *Pool
	duration *prometheus.HistogramVec

	members, target, waiting, orphans, alert          *prometheus.Desc
	claims, misses, created, destroyed, ended         *prometheus.Desc
	failures, unknown, reloads, idle, buildTime, rate *prometheus.Desc
	stuck                                             *prometheus.Desc
}

func (p *Pool) register() error {
	m := newMetrics(p)
	p.metrics = m
	if p.cfg.Registerer == nil {
		return nil
	}
	if err := p.cfg.Registerer.Register(m); err != nil {
		return fmt.Errorf("prewarm: register metrics of pool %q: %w", p.cfg.Spec.Name, err)
	}
	return nil
}

func newMetrics(p *Pool) *metrics {
	constant := prometheus.Labels{"pool": p.cfg.Spec.Name}
	if p.cfg.Instance != "" {
		constant["instance"] = p.cfg.Instance
	}
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(p.cfg.Namespace, "prewarm", name), help, labels, constant)
	}
	m := &metrics{
		pool:      p,
		members:   desc("members", "Members by what they are to the pool, as of the last plan.", "state"),
		target:    desc("target", "Wanted number of unclaimed members."),
		waiting:   desc("waiting", "Claims in the line."),
		orphans:   desc("orphans", "Resources of the last listing that the store does not know."),
		alert:     desc("depleted", "1 while the share of ready members is below the threshold."),
		claims:    desc("claims_total", "Members handed out, by where they came from.", "source"),
		misses:    desc("misses_total", "Claims that found no ready member, by reason.", "reason"),
		created:   desc("created_total", "Members that were asked for, by reason.", "reason"),
		destroyed: desc("destroyed_total", "Attempts to destroy members, by reason.", "reason"),
		ended:     desc("claims_ended_total", "Claims that are over, by reason.", "reason"),
		failures:  desc("create_failures_total", "Attempts to create a member that failed."),
		unknown:   desc("listings_failed_total", "Listings that failed, so that nothing followed."),
		reloads:   desc("reloads_total", "Listings because of a depleted pool."),
		idle:      desc("idle_member_seconds_total", "Time that members were ready and unclaimed: what the pool costs."),
		buildTime: desc("build_seconds", "Time that a member takes to become ready, as measured."),
		rate:      desc("claims_per_hour", "Rate of claims, as measured."),
		stuck:     desc("stuck_calls", "Calls of the backend, the cleaner, the store and the host that were given up and have not returned."),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: p.cfg.Namespace, Subsystem: "prewarm", Name: "claim_duration_seconds", ConstLabels: constant,
			Help:                        "From a request to a member that can be used, by where it came from.",
			Buckets:                     []float64{.001, .005, .01, .05, .1, .5, 1, 5, 15, 30, 60, 120, 300, 600},
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
		}, []string{"source"}),
	}
	for _, s := range []Source{Warm, Waited, Built, Repeated} {
		m.duration.WithLabelValues(string(s))
	}
	return m
}

// claimed counts a member that is handed out.
func (m *metrics) claimed(c Handout) {
	m.duration.WithLabelValues(string(c.Source)).Observe(c.Waited.Seconds())
	m.pool.count(func(s *counters) { s.claims[c.Source]++ })
}

func (m *metrics) descs() []*prometheus.Desc {
	return []*prometheus.Desc{
		m.members, m.target, m.waiting, m.orphans, m.alert, m.claims, m.misses, m.created, m.destroyed, m.ended,
		m.failures, m.unknown, m.reloads, m.idle, m.buildTime, m.rate, m.stuck,
	}
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range m.descs() {
		ch <- d
	}
	m.duration.Describe(ch)
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	s := m.pool.Stats()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	count := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	for state, n := range s.Counts.byState() {
		gauge(m.members, float64(n), state)
	}
	gauge(m.members, float64(s.Claimed), "claimed")
	gauge(m.target, float64(s.Target.Size))
	gauge(m.waiting, float64(s.Waiting))
	gauge(m.orphans, float64(s.Orphans))
	depleted := 0.0
	if !s.AlertSince.IsZero() {
		depleted = 1
	}
	gauge(m.alert, depleted)
	gauge(m.buildTime, s.BuildTime.Seconds())
	gauge(m.rate, s.PerHour)
	gauge(m.stuck, float64(s.Stuck))
	for _, source := range []Source{Warm, Waited, Built, Repeated} {
		count(m.claims, float64(s.Claims[source]), string(source))
	}
	for _, reason := range MissReasons() {
		count(m.misses, float64(s.Misses[reason]), string(reason))
	}
	for _, reason := range createReasons {
		count(m.created, float64(s.Created[reason]), string(reason))
	}
	for _, reason := range destroyReasons {
		count(m.destroyed, float64(s.Destroyed[reason]), string(reason))
	}
	for _, reason := range endReasons {
		count(m.ended, float64(s.Ended[reason]), string(reason))
	}
	count(m.failures, float64(s.Failures))
	count(m.unknown, float64(s.Unknown))
	count(m.reloads, float64(s.Reloads))
	count(m.idle, s.IdleTime.Seconds())
	m.duration.Collect(ch)
}

// The reasons that label metrics, so that every series begins at 0.
var (
	createReasons  = []Reason{ReasonBelowTarget, ReasonRollover, ReasonProbe, ReasonCold}
	destroyReasons = []Reason{
		ReasonRollover, ReasonExcess, ReasonIdle, ReasonAge, ReasonNotReady, ReasonHeldTooLong, ReasonInactive, ReasonClaimOver,
		ReasonReturned, ReasonUnclean, ReasonDoubt, ReasonQuarantine, ReasonStopped, ReasonLost, ReasonCreateFailed,
	}
	endReasons = []Reason{ReasonInactive, ReasonClaimOver, ReasonReturned, ReasonStopped, ReasonLost}
)

// byState are the counts by a label for each.
func (c Counts) byState() map[string]int {
	return map[string]int{
		"ready": c.Ready, "starting": c.Starting, "held": c.Held, "cleaning": c.Cleaning, "old": c.Old, "affine": c.Affine,
		"cold": c.Cold, "quarantined": c.Quarantined, "deleting": c.Deleting,
	}
}
