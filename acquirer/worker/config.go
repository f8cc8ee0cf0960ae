package worker

import (
	"cmp"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/coder/quartz"
	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/invalid"
)

// Config tunes a [Worker]. Types is required; everything else has a zero value that works.
type Config struct {
	Organization uuid.UUID
	// ID of the worker. Defaults to a new one.
	ID uuid.UUID
	// Types of job that it runs, and its tags; see [queue.Compare].
	Types []string
	Tags  map[string]string
	// Slots is how many jobs run at once. Defaults to 1.
	Slots int
	// Ending is for how many jobs, beside those in slots, the end may be on its way to the store: their handlers have returned,
	// and their slots take the next jobs meanwhile. It is what a process that dies may repeat in addition. With 0, the
	// default, a slot is free when its job's end is stored: at no time are more than Slots jobs begun and not ended in the store, and
	// no more than these can run again. With n it is Slots+n, and jobs that are shorter than a call of the store flow
	// faster. Either way an end is reported until it is stored, for as long as Deliver, the lease is kept until then, and Run
	// waits for it. A control plane that bounds the slots of remote workers has to allow for Slots+n.
	Ending int
	// Silence is needed when the source is in another process: the time after which a worker that has not reported counts
	// as lost. The worker reports three times in it, and stops the job after three quarters of it when it cannot.
	// Defaults to none: the worker lives and dies with the acquirer.
	Silence time.Duration
	// Flush is how often progress and log lines are sent. Defaults to 1 second.
	Flush time.Duration
	// Drain is how long jobs may go on after Run's context has ended. Then their contexts end and the jobs go back into
	// line. Defaults to 1 minute.
	Drain time.Duration
	// Deliver bounds the attempts to report a job's end. Defaults to 1 minute.
	Deliver time.Duration

	// Clock defaults to the real one.
	Clock quartz.Clock
	// Logger defaults to slog.Default().
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	c.ID = cmp.Or(c.ID, uuid.New())
	c.Slots = cmp.Or(c.Slots, 1)
	c.Flush = cmp.Or(c.Flush, time.Second)
	c.Drain = cmp.Or(c.Drain, time.Minute)
	c.Deliver = cmp.Or(c.Deliver, time.Minute)
	if c.Clock == nil {
		c.Clock = quartz.NewReal()
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	c.Logger = c.Logger.With("worker_id", c.ID)
	return c
}

func (c Config) request() queue.Request {
	return queue.Request{Organization: c.Organization, Worker: c.ID, Types: c.Types, Tags: c.Tags, Silence: c.Silence}
}

// validate is called after withDefaults.
func (c Config) validate() error {
	_, err := c.request().Domain()
	var refused *invalid.Error
	if errors.As(err, &refused) {
		return invalid.New("Config"+strings.TrimPrefix(refused.Field, "Request"), refused.Value, refused.Rule)
	}
	return cmp.Or(
		err,
		invalid.Duration("Config.Silence", c.Silence),
		invalid.Duration("Config.Flush", c.Flush),
		invalid.Duration("Config.Drain", c.Drain),
		invalid.Duration("Config.Deliver", c.Deliver),
		invalid.Count("Config.Slots", c.Slots),
		invalid.Count("Config.Ending", c.Ending),
	)
}
