//go:build unix

// Package elastic lets worker processes come and go with the builds that wait. A worker is a job of a worker pool: machines are
// created for it, it takes builds over the API until there have been none for a while, and ends by itself. So a worker is never
// taken away in the middle of a build, and what it reports is what any other worker reports.
package elastic

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/examples/controlplane/auth"
	"github.com/dormouse-go/dormouse/workerpool"
)

// Launch is what a worker is started with: the payload of its job.
type Launch struct {
	Name  string `json:"name"`
	Token string `json:"token"`
	auth.Work
}

// Config says how many workers there may be.
type Config struct {
	// Slots is how many builds a worker carries out at once, Max how many workers there are at most.
	Slots, Max int
	// Tags are the sets of tags that workers may be started with, beside none.
	Tags []map[string]string
	// Logger is told what came and went.
	Logger *slog.Logger
}

// Queue is a [workerpool.Queue] whose jobs are workers.
type Queue struct {
	cfg      Config
	keeper   *auth.Keeper
	acquirer *acquirer.Acquirer

	mu       sync.Mutex
	launches map[workerpool.JobID][]byte // of workers that are not started yet: nobody else knows their tokens
}

// New returns a queue of workers for what waits in an acquirer.
func New(k *auth.Keeper, a *acquirer.Acquirer, cfg Config) *Queue {
	return &Queue{cfg: cfg, keeper: k, acquirer: a, launches: make(map[workerpool.JobID][]byte)}
}

var _ workerpool.Queue = (*Queue)(nil)

// Jobs implements [workerpool.Queue]: every elastic worker that has not ended, and new ones for builds that wait.
func (q *Queue) Jobs(ctx context.Context) ([]workerpool.Job, error) {
	known, err := q.keeper.List(ctx, auth.Worker)
	if err != nil {
		return nil, err
	}
	var jobs []workerpool.Job
	coming := 0 // workers that were asked for and do not work yet
	for _, w := range known {
		if !w.Work.Elastic {
			continue
		}
		job, err := q.job(ctx, w)
		if err != nil {
			return nil, err
		}
		if job.State == workerpool.JobWaiting {
			coming++
		}
		jobs = append(jobs, job)
	}
	if coming > 0 { // they may take what waits
		return jobs, nil
	}
	return q.more(ctx, jobs)
}

// more adds workers for builds that wait although the workers that there are could take them.
func (q *Queue) more(ctx context.Context, jobs []workerpool.Job) ([]workerpool.Job, error) {
	demand, err := q.acquirer.Demand(ctx)
	if err != nil {
		return nil, err
	}
	for _, l := range demand.Lanes {
		tags, ok := q.tagsFor(l.Lane)
		for missing := l.Ready - l.Waiting; ok && missing > 0 && len(jobs) < q.cfg.Max; missing -= q.cfg.Slots {
			job, err := q.launch(ctx, tags)
			if err != nil {
				return nil, err
			}
			jobs = append(jobs, job)
		}
	}
	return jobs, nil
}

// tagsFor chooses the tags of a worker for a lane.
func (q *Queue) tagsFor(l queue.Lane) (map[string]string, bool) {
	for _, tags := range append([]map[string]string{nil}, q.cfg.Tags...) {
		d, err := queue.NewDomain(l.Organization, []string{l.Type}, tags)
		if err == nil && d.Runs(l) {
			return tags, true
		}
	}
	return nil, false
}

func (q *Queue) launch(ctx context.Context, tags map[string]string) (workerpool.Job, error) {
	work := auth.Work{Tags: maps.Clone(tags), Slots: q.cfg.Slots, Elastic: true}
	id, token, err := q.keeper.Issue(ctx, auth.Worker, "elastic", work)
	if err != nil {
		return workerpool.Job{}, err
	}
	q.cfg.Logger.InfoContext(ctx, "a worker is wanted", "worker", id)
	return q.waiting(auth.Identity{Token: id, Work: work}, token)
}

// job is a worker as the pool sees it. One that was asked for by a process that died before it was started gets another secret.
func (q *Queue) job(ctx context.Context, w auth.Identity) (workerpool.Job, error) {
	id := workerpool.JobID(w.Token)
	if w.Work.Machine != "" {
		return workerpool.Job{ID: id, Since: time.Now(), State: workerpool.JobAssigned}, nil
	}
	q.mu.Lock()
	payload := q.launches[id]
	q.mu.Unlock()
	if payload != nil {
		return workerpool.Job{ID: id, Since: time.Now(), Payload: payload}, nil
	}
	token, err := q.keeper.Renew(ctx, w.Token)
	if err != nil {
		return workerpool.Job{}, err
	}
	return q.waiting(w, token)
}

func (q *Queue) waiting(w auth.Identity, token string) (workerpool.Job, error) {
	payload, err := json.Marshal(Launch{Name: "elastic " + w.Token, Token: token, Work: w.Work})
	if err != nil {
		return workerpool.Job{}, err
	}
	id := workerpool.JobID(w.Token)
	q.mu.Lock()
	q.launches[id] = payload
	q.mu.Unlock()
	return workerpool.Job{ID: id, Since: time.Now(), Payload: payload}, nil
}

// Record implements [workerpool.Queue]. A machine that speaks of a token which was not given to it has no effect on it.
func (q *Queue) Record(ctx context.Context, r workerpool.Record) error {
	if r.Kind != workerpool.Claimed && r.Worker != "" {
		machine, ok, err := q.keeper.Machine(ctx, string(r.Job))
		switch {
		case err != nil || ok && machine != string(r.Worker):
			return err
		case !ok: // it is an elastic worker's no more, or never was
			q.forget(r.Job)
			return nil
		}
	}
	switch r.Kind {
	case workerpool.Claimed:
		ok, err := q.keeper.Assign(ctx, string(r.Job), string(r.Worker))
		if err == nil && !ok {
			err = errTaken
		}
		return err
	case workerpool.NotStarted, workerpool.Released:
		_, err := q.keeper.Assign(ctx, string(r.Job), "")
		return err
	}
	was, err := q.keeper.End(ctx, string(r.Job)) // and its token with it
	if err == nil && was {
		q.cfg.Logger.InfoContext(ctx, "a worker has ended", "worker", string(r.Job), "exit_code", r.ExitCode, "reason", r.Reason)
	}
	q.forget(r.Job)
	return err
}

// forget drops what a worker was to be started with.
func (q *Queue) forget(id workerpool.JobID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.launches, id)
}
