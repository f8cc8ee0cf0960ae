package acquirer

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"math"
	"time"

	"github.com/coder/quartz"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/backoff"
	"github.com/dormouse-go/dormouse/invalid"
)

// What no host has a better value for. A test reaches them through its clock: each is asked for with the tag named here.
const (
	// maxCalls bounds the claims and listings in flight, beside those of trialPlaces. A domain and a lane have at most one each in any
	// case; more than a few at once wait for each other in the database, and each takes a connection of its pool. One organization has
	// one less at most, so that what hangs leaves one to the others.
	maxCalls = 4

	// slowTrial is from when on a call that failed counts as slow, and fewSlow how often in a row one may be so before it counts as
	// hanging. Then it is tried as often as other such calls let it: one that has begun to fail does not wait for them.
	slowTrial = time.Second
	fewSlow   = 2

	// staleTrial is for how long a call that failed is remembered where it is not made again: longer than it waits for a place among
	// many that hang.
	staleTrial = 10 * time.Minute

	// lookPause is the least time between two looks that workers cause by coming to wait; tag "look". A thousand workers
	// that come within it share one listing, and a worker whose job's announcement was lost waits no longer than a person
	// notices.
	lookPause = 250 * time.Millisecond

	// maxLookPause is the most that looks which take long are put off: what a host without announcements waits for a job by default.
	maxLookPause = 1500 * time.Millisecond

	// maxBytes bounds the results that one call of the store carries for several workers.
	maxBytes = 8 << 20

	// maxLinger is for how long the answer to a report waits at most whose organization is beyond its share; tag "share".
	maxLinger = 250 * time.Millisecond

	// minShare is what a microsecond still adds some nanoseconds to: with less an account does not grow from one look at it to the next,
	// and who waits for it does so without end. maxShare is more than anybody's connections can be used for.
	minShare, maxShare = 0.01, 1000.0

	// firstPause is the pause after a store error, doubled with each further one up to maxPause. The first is about as long
	// as a failover of a connection pool takes; the longest is what a recovered database may stay unused.
	firstPause = 50 * time.Millisecond
	maxPause   = 10 * time.Second

	// turnPause is how long a job announced by another process is left to the process whose turn it is, so that idle
	// replicas do not all ask for one job; tag "turn". A claim and its announcement take a few milliseconds.
	turnPause = 20 * time.Millisecond

	// publishPause is the least time between two messages to the other processes; what comes in between is sent together
	// at its end. It bounds the messages about one organization to 200 a second and is lost in the time a claim takes.
	publishPause = 5 * time.Millisecond

	// maxSaid is of how many organizations something may be sent without waiting for the end of a pause. So even where everybody posts
	// at once, few messages are sent in each.
	maxSaid = 8

	// logBytes bounds what one call of the store writes into logs, and so for how long it keeps a core of the store's that others want
	// for a moment. A report that brings more takes several calls, and other reports go in between.
	logBytes = 128 << 10

	// logRate bounds the log of a job, in bytes a second, and logBurst what it may say at once: what a build prints at its
	// fastest, and what a store takes without others noticing.
	logRate  = 1 << 20
	logBurst = 8 << 20

	// lineCost is what a line counts beside its text: what a store keeps of an empty one.
	lineCost = 64

	// quietFor is how long workers count as there when they do not wait: those that ask again after a long poll.
	quietFor = 10 * time.Second

	// pingPeriod is how often the process sends a message to itself, to find out whether messages arrive; tag "ping". They
	// are missed after two and a half of them, so that a single lost one means nothing.
	pingPeriod = 5 * time.Second
)

// trialPlaces bound the claims and listings in flight that failed the last time, by rank: those that fail at once, those that have lately
// taken long, and those that hang. However many organizations hang, they keep two connections, or while more begin to three; what fails
// at once, or has just begun to fail, does not wait behind them. One organization has one place of each rank.
var trialPlaces = [ranks]int{quick: 1, slow: 1, hanging: 2}

// growing is the pause after so many failures in a row, 0 being the first.
func growing(failures int) time.Duration { return backoff.Doubled(firstPause, failures, maxPause) }

// Config tunes an [Acquirer]. The zero value works.
type Config struct {
	// Instance names this acquirer to people, for example by its host: in the store's register of processes, in events,
	// log lines and the label "instance" of its metrics. Acquirers that share a Registerer need different ones.
	// Defaults to "acquirer".
	Instance string

	// Batch bounds the jobs of one claim. Defaults to 500.
	Batch int
	// Backup is how often the process looks for ready lanes that nobody announced, give or take a tenth.
	// Defaults to 30 seconds.
	Backup time.Duration
	// Poll replaces Backup while announcements do not come through, which includes hosts without a Pubsub.
	// Defaults to 1.5 seconds.
	Poll time.Duration

	// Timeout bounds one call of the store. Defaults to a heartbeat.
	Timeout time.Duration
	// Heartbeat is how often the process reports to the store that it lives; after a failure it does so sooner. Defaults to 10 seconds.
	Heartbeat time.Duration
	// Lease is how long a process may be silent before others take its jobs, at least three heartbeats.
	// One heartbeat before that, a process that cannot reach the store stops its own jobs. Defaults to three heartbeats.
	Lease time.Duration
	// Alone says that no other process uses the store: whoever is registered when this one starts is declared lost at once,
	// and the [LostPolicy] asked, instead of after a lease. A process that was killed and is started again so goes on
	// within the policy's delay. Do not set it where two processes may overlap, as in a rolling restart.
	Alone bool
	// StopTimeout bounds how long Run keeps the leases of jobs that are held when its context ends, and after that what
	// must still be written. Defaults to 5 seconds.
	StopTimeout time.Duration

	// Limits bound how many jobs of an organization run at once. Defaults to none.
	Limits queue.Limits
	// Reserves keep slots for jobs of higher priority. Defaults to none.
	Reserves []queue.Reserve
	// Age lets a lane's priority count one more for each such time that its first job has waited. Defaults to
	// no ageing.
	Age time.Duration

	// Lost decides, by job type, what becomes of a job whose worker was lost; the entry "" is for all other
	// types. Defaults to [RequeueLost] with 5 attempts and 10 seconds.
	Lost map[string]LostPolicy
	// Retry is asked before a job is retried by hand, and refuses that with an error. Defaults to nil: every job may be. For
	// jobs of builds, use buildjobs.MayRetry.
	Retry func(ctx context.Context, over Job) error
	// RunLimits bound one attempt, by job type; the entry "" is for all other types, and a posting's own limit goes before
	// ([queue.Posting].RunLimit). When it is reached, the job's context ends with the cause [queue.ErrTimeout], a worker
	// elsewhere hears of it in the answer to its next report, and the event is told. Defaults to none.
	RunLimits map[string]time.Duration
	// Grace is how long a worker may go on after it was told to stop, because its run has reached the limit or somebody asked
	// for the job's cancellation. Then its lease is given up, and Lost decides: it may still be at work when another begins.
	// Defaults to 10 minutes; negative means for ever.
	Grace time.Duration
	// Expire fails jobs that no worker seen in this time could run. A job that merely waits in a long queue
	// never expires. Defaults to never.
	Expire time.Duration
	// Retention is how long ended jobs are kept; negative means for ever. Defaults to 7 days.
	Retention time.Duration

	// Share is for how many seconds of each second the calls that one organization asks for may keep the store busy, added up, while
	// others call this process, too: postings, what a [View] answers, logs, and looks for its jobs. Beyond it they wait in line, and
	// go one by one as time passes; each waits for at most a third of a second after the one before has ended. No sign of life, no
	// end and no claim of a worker waits, and nothing does while nobody else calls. Defaults to 0.5; at least 0.01 and at most
	// 1000; negative means no bound.
	Share float64

	// Remote bounds what workers of other processes may ask for; see [Acquirer.Remote].
	Remote RemoteConfig

	// MaxLog bounds the log of a job, over all its attempts, in bytes of text and some more for each line; what a worker says
	// beyond it is dropped, and a last line says so. Defaults to 16 MiB; negative means no bound.
	MaxLog int

	// Events receives what happened that concerns people, one call at a time, in a goroutine of its own. While it blocks,
	// up to 1,000 events wait and further ones are dropped. From when Run was to end it has 3 seconds: a call that is still under way then
	// is given up, and the events that still wait are dropped. A panic in it is logged. Defaults to nobody.
	Events func(Event)

	// Clock defaults to the real one.
	Clock quartz.Clock
	// Logger defaults to slog.Default().
	Logger *slog.Logger
	// Registerer gets the metrics, until Run ends. Defaults to nil: they are not registered.
	Registerer prometheus.Registerer
	// Namespace is the first part of the metrics' names. Defaults to "dormouse".
	Namespace string
	// Types are the job types with a metric label of their own, beside the library's. All others count as "other", so that
	// nobody who posts jobs makes series. Defaults to none.
	Types []string
}

func (c Config) withDefaults() Config {
	c.Instance = cmp.Or(c.Instance, "acquirer")
	c.Batch = cmp.Or(c.Batch, 500)
	c.Backup = cmp.Or(c.Backup, 30*time.Second)
	c.Poll = cmp.Or(c.Poll, 1500*time.Millisecond)
	c.Heartbeat = cmp.Or(c.Heartbeat, 10*time.Second)
	c.Timeout = cmp.Or(c.Timeout, c.Heartbeat)
	c.Lease = cmp.Or(c.Lease, 3*c.Heartbeat)
	c.Grace = cmp.Or(c.Grace, defaultGrace)
	c.RunLimits = maps.Clone(c.RunLimits)
	c.StopTimeout = cmp.Or(c.StopTimeout, 5*time.Second)
	c.MaxLog = cmp.Or(c.MaxLog, 16<<20)
	c.Retention = cmp.Or(c.Retention, 7*24*time.Hour)
	c.Share = cmp.Or(c.Share, defaultShare)
	c.Remote = c.Remote.withDefaults()
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
		c.Events = func(Event) {}
	}
	if c.Clock == nil {
		c.Clock = quartz.NewReal()
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	c.Logger = c.Logger.With("instance", c.Instance)
	return c
}

// validate is called after withDefaults.
func (c Config) validate() error {
	err := cmp.Or(
		invalid.Duration("Config.Heartbeat", c.Heartbeat), // before those that it is the default of
		invalid.Duration("Config.Backup", c.Backup),
		invalid.Duration("Config.Poll", c.Poll),
		invalid.Duration("Config.Timeout", c.Timeout),
		invalid.Duration("Config.StopTimeout", c.StopTimeout),
		invalid.Duration("Config.Age", c.Age),
		invalid.Duration("Config.Expire", c.Expire),
		invalid.Duration("Config.Grace", max(0, c.Grace)), // these three may be negative
		invalid.Duration("Config.Retention", max(0, c.Retention)),
		invalid.Count("Config.MaxLog", max(0, c.MaxLog)),
		invalid.Count("Config.Batch", c.Batch),
		invalid.Duration("Config.Lease", c.Lease),
	)
	switch {
	case err != nil:
		return err
	case c.Lease < 3*c.Heartbeat:
		return invalid.New("Config.Lease", c.Lease, "must be at least three heartbeats, %s", 3*c.Heartbeat)
	}
	if math.IsNaN(c.Share) || c.Share > maxShare || c.Share >= 0 && c.Share < minShare {
		return invalid.New("Config.Share", c.Share, "must be from %v to %v, or negative for no bound", minShare, maxShare)
	}
	for kind, limit := range c.RunLimits {
		if err := invalid.Duration("Config.RunLimits["+kind+"]", limit); err != nil {
			return err
		}
	}
	for _, r := range c.Reserves {
		if !(r.Of > 0 && r.Of <= 1) {
			return invalid.New("Config.Reserves", r.Of, "a part must be above 0 and at most 1")
		}
	}
	if err := c.Remote.validate(); err != nil {
		return err
	}
	return c.Limits.Validate()
}
