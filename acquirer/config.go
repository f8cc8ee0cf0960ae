package acquirer

import (
	"cmp"
	"log/slog"
	"maps"
	"time"

	"github.com/coder/quartz"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/invalid"
)

// Config tunes an [Acquirer]. The zero value works.
type Config struct {
	// Name says to people which process this is, for example its host. Defaults to "acquirer".
	Name string

	// Batch bounds the jobs of one claim. Defaults to 500.
	Batch int
	// Concurrency bounds the claims and listings in flight; a domain and a lane have at most one each in any
	// case. Defaults to 4.
	Concurrency int
	// Backup is how often the process looks for ready lanes that nobody announced, give or take a tenth.
	// Defaults to 30 seconds.
	Backup time.Duration
	// Poll replaces Backup while announcements do not come through, which includes hosts without a Pubsub.
	// Defaults to 1.5 seconds.
	Poll time.Duration
	// Ask is the least time between two looks that workers cause by coming to wait; a worker who comes sooner
	// causes a look at the end of it. Defaults to 250 milliseconds.
	Ask time.Duration
	// Backoff is the first pause after a store error; it doubles up to BackoffMax. Defaults to 50 milliseconds.
	Backoff time.Duration
	// BackoffMax bounds the pause after store errors. Defaults to 10 seconds.
	BackoffMax time.Duration
	// FailWaiters lets a store error fail the workers that wait for the claim, as [*ClaimError], instead of
	// keeping them waiting while the claim is repeated.
	FailWaiters bool

	// Grace is how long a job announced by another process is left to the process whose turn it is, so that
	// idle replicas do not all ask for one job. Defaults to 20 milliseconds; negative means not at all.
	Grace time.Duration

	// Timeout bounds one call of the store. Defaults to a heartbeat.
	Timeout time.Duration
	// Heartbeat is how often the process tells the store that it lives. Defaults to 10 seconds.
	Heartbeat time.Duration
	// Lease is how long a process may be silent before others take its jobs, at least three heartbeats.
	// One heartbeat before that, a process that cannot reach the store stops its own jobs. Defaults to 30
	// seconds.
	Lease time.Duration
	// StopTimeout bounds what must still be written when Run ends. Defaults to 5 seconds.
	StopTimeout time.Duration

	// Announce is the least time between two messages to the other processes; what comes in between is sent
	// together at its end. Defaults to 5 milliseconds.
	Announce time.Duration
	// Ping is how often the process listens for its own voice. Defaults to 5 seconds.
	Ping time.Duration

	// Limits bound how many jobs of an organization run at once. Defaults to none.
	Limits queue.Limits
	// Shares reserve slots for jobs of higher priority. Defaults to none.
	Reserves []queue.Reserve
	// Age lets a lane's priority count one more for each such time that its first job has waited. Defaults to
	// no ageing.
	Age time.Duration

	// Lost decides, by job type, what becomes of a job whose worker was lost; the entry "" is for all other
	// types. Defaults to [RequeueLost] with 5 attempts and 10 seconds.
	Lost map[string]LostPolicy
	// Expire fails jobs that no worker seen in this time could run. A job that merely stands in a long queue
	// never expires. Defaults to never.
	Expire time.Duration
	// Retention is how long ended jobs are kept; negative means for ever. Defaults to 7 days.
	Retention time.Duration

	// Events receives what happened that concerns people, one call at a time. It must not block. Defaults to
	// nobody.
	Events func(queue.Event)
	// Types are the job types that get a metric label of their own; others count as "other". Defaults to the
	// first 50 seen.
	Types []string
	// Namespace of the metrics. Defaults to "dormouse".
	Namespace string

	// Clock defaults to the real one.
	Clock quartz.Clock
	// Logger defaults to a discarding one.
	Logger *slog.Logger
	// Registerer defaults to nil: metrics are not registered.
	Registerer prometheus.Registerer
}

func (c Config) withDefaults() Config {
	c.Name = cmp.Or(c.Name, "acquirer")
	c.Batch = cmp.Or(c.Batch, 500)
	c.Concurrency = cmp.Or(c.Concurrency, 4)
	c.Backup = cmp.Or(c.Backup, 30*time.Second)
	c.Poll = cmp.Or(c.Poll, 1500*time.Millisecond)
	c.Ask = cmp.Or(c.Ask, 250*time.Millisecond)
	c.Backoff = cmp.Or(c.Backoff, 50*time.Millisecond)
	c.BackoffMax = cmp.Or(c.BackoffMax, max(10*time.Second, c.Backoff))
	c.Heartbeat = cmp.Or(c.Heartbeat, 10*time.Second)
	c.Timeout = cmp.Or(c.Timeout, c.Heartbeat)
	c.Lease = cmp.Or(c.Lease, 3*c.Heartbeat)
	c.Grace = cmp.Or(c.Grace, 20*time.Millisecond)
	c.StopTimeout = cmp.Or(c.StopTimeout, 5*time.Second)
	c.Announce = cmp.Or(c.Announce, 5*time.Millisecond)
	c.Ping = cmp.Or(c.Ping, 5*time.Second)
	c.Retention = cmp.Or(c.Retention, 7*24*time.Hour)
	c.Namespace = cmp.Or(c.Namespace, "dormouse")
	c.Limits = c.Limits.Clone()
	c.Lost = maps.Clone(c.Lost)
	if c.Lost == nil {
		c.Lost = make(map[string]LostPolicy)
	}
	if c.Lost[""] == nil {
		c.Lost[""] = RequeueLost(5, 10*time.Second)
	}
	if c.Events == nil {
		c.Events = func(queue.Event) {}
	}
	if c.Clock == nil {
		c.Clock = quartz.NewReal()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// validate is called after withDefaults.
func (c Config) validate() error {
	for _, field := range []struct {
		name  string
		value time.Duration
	}{
		{"backup", c.Backup},
		{"poll", c.Poll},
		{"ask", c.Ask},
		{"backoff", c.Backoff},
		{"backoff_max", c.BackoffMax},
		{"heartbeat", c.Heartbeat},
		{"stop_timeout", c.StopTimeout},
		{"announce", c.Announce},
		{"ping", c.Ping},
		{"age", c.Age},
		{"expire", c.Expire},
		{"timeout", c.Timeout},
	} {
		if field.value < 0 {
			return invalid.New("config."+field.name, field.value, "must not be negative")
		}
	}
	switch {
	case c.Batch < 1:
		return invalid.New("config.batch", c.Batch, "at least 1")
	case c.Concurrency < 1:
		return invalid.New("config.concurrency", c.Concurrency, "at least 1")
	case c.BackoffMax < c.Backoff:
		return invalid.New("config.backoff_max", c.BackoffMax, "not less than the backoff")
	case c.Lease < 3*c.Heartbeat:
		return invalid.New("config.lease", c.Lease, "at least three heartbeats")
	}
	for _, share := range c.Reserves {
		if !(share.Of > 0 && share.Of <= 1) {
			return invalid.New("config.shares", share.Of, "a share is above 0 and at most 1")
		}
	}
	return c.Limits.Validate()
}
