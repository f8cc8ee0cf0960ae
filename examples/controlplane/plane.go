//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"time"

	"github.com/coder/quartz"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/examples/controlplane/records"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/prewarm"
)

func isNotFound(err error) bool { return errors.Is(err, lifecycle.ErrNotFound) }

// newPlane joins the engines. Builds are carried out by workers of other processes, over the API.
func newPlane(db database, b *builders, clock quartz.Clock, registry prometheus.Registerer, o options, log *slog.Logger) (*dormouse.Plane, error) {
	host, _ := os.Hostname()
	return dormouse.New(db.store, dormouse.Config{
		Builder: b, Audit: auditor(db.records), Notify: notifier(log),
		Pools: pools(o), Pubsub: db.pubsub, Retention: 30 * 24 * time.Hour,
		TuneExecutor: o.tuneExecutor, TuneAcquirer: o.tuneAcquirer,
		Clock: clock, Logger: log, Registerer: registry, Instance: host + " " + o.listen,
	})
}

// sandboxPool is the warm pool, and the template of its members.
const sandboxPool = "sandbox"

func pools(o options) []dormouse.Pool {
	if o.pool == 0 {
		return nil
	}
	return []dormouse.Pool{{Name: sandboxPool, TemplateName: sandboxPool, Size: o.pool, Tune: func(c *prewarm.Config) {
		c.Interval, c.Relist, c.Poll, c.Timeout = o.slow(2*time.Second), o.slow(5*time.Minute), o.slow(time.Second), o.slow(10*time.Second)
		c.MaxWait, c.AlertAfter = o.slow(30*time.Second), o.slow(5*time.Minute)
	}}}
}

// auditor keeps what happened: for streams of events, and for the pages.
func auditor(db *records.DB) func(context.Context, dormouse.Event) error {
	return func(ctx context.Context, e dormouse.Event) error {
		body, err := json.Marshal(e)
		if err != nil {
			return err
		}
		return db.AddEvent(ctx, records.Event{Key: e.Key(), Owner: e.OwnerID, Workspace: e.WorkspaceID, Kind: string(e.Kind), At: e.At, Body: body})
	}
}

// notifier stands for mail.
func notifier(log *slog.Logger) func(context.Context, dormouse.Notice) error {
	return func(ctx context.Context, n dormouse.Notice) error {
		log.InfoContext(ctx, "notice", "owner", n.Owner, "text", n.Text)
		return nil
	}
}

// slow is a duration of the machine, on a clock that passes faster than the machine's: what a database or a process needs does not
// get less because workspaces live faster.
func (o options) slow(d time.Duration) time.Duration { return time.Duration(o.speed) * d }

func (o options) tuneExecutor(c *executor.Config) {
	c.Interval, c.RelayInterval, c.ActivityFlush = o.slow(time.Second), o.slow(time.Second), o.slow(time.Second)
	c.StoreTimeout, c.BuildTimeout, c.DeliveryTimeout = o.slow(30*time.Second), o.slow(30*time.Second), o.slow(20*time.Second)
}

// tuneAcquirer lets a process that was killed be given up soon: the workers hold on for longer.
func (o options) tuneAcquirer(c *acquirer.Config) {
	c.Heartbeat, c.Lease, c.StopTimeout = o.slow(time.Second), o.slow(4*time.Second), o.slow(5*time.Second)
	c.Timeout, c.Backup, c.Poll = o.slow(5*time.Second), o.slow(10*time.Second), o.slow(time.Second)
	c.Remote = acquirer.RemoteConfig{Silence: o.slow(silence), MinSilence: o.slow(silence), MaxSilence: o.slow(2 * silence), MaxDelay: o.slow(time.Hour)}
	c.Lost = map[string]acquirer.LostPolicy{lifecycle.JobType: acquirer.RequeueLost(5, o.slow(time.Second))}
	c.Grace = o.slow(time.Minute)
}
