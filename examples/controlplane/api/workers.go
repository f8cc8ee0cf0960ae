package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/examples/controlplane/auth"
	"github.com/dormouse-go/dormouse/invalid"
)

// Worker is a registration: who may carry builds out, and for what.
type Worker struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	auth.Work
}

// Workers are the registrations, and who is at work by what the processes of the control plane say.
type Workers struct {
	Registered []Worker           `json:"registered"`
	Processes  []dormouse.Process `json:"processes"`
	// Machines of elastic workers, by state, as far as this replica has them.
	Machines map[string]int `json:"machines,omitempty"`
}

// NewWorker registers a worker.
type NewWorker struct {
	Name  string            `json:"name"`
	Tags  map[string]string `json:"tags,omitempty"`
	Slots int               `json:"slots"`
}

// Secret is a token. It is shown once.
type Secret struct {
	ID    string `json:"id"`
	Token string `json:"token"`
}

// Bodies of what workers say: a report may hold a mebibyte of lines, which JSON makes longer.
const (
	acquireBody = 16 << 10
	reportBody  = 4 << 20
	endBody     = 2 << 20
)

// longPoll is how long a worker's request for a job is kept open: below what proxies cut off.
const longPoll = 20 * time.Second

var workers = []auth.Kind{auth.Worker}

func (a *API) workerRoutes() []route {
	return []route{
		{method: "GET", path: "/workers", summary: "who carries builds out", who: admins, out: typeOf[Workers](), do: a.listWorkers},
		{method: "POST", path: "/workers", summary: "register a worker; the answer has its token, once", who: admins, in: typeOf[NewWorker](), out: typeOf[Secret](), do: with(a.register), secret: true},
		{method: "DELETE", path: "/workers/{id}", summary: "end a worker's registration; what it holds goes to others", who: admins, do: a.endWorker},
		{method: "POST", path: "/worker/acquire", summary: "wait for a job; 204 says to ask again", who: workers, secret: true, limit: acquireBody, in: typeOf[queue.Request](), out: typeOf[queue.Job](), do: with(a.acquire), calls: longPoll + 5*time.Second},
		{
			method: "POST", path: "/worker/renew", summary: "report on a job; true asks for its cancellation", who: workers, limit: reportBody, in: typeOf[queue.Report](), out: typeOf[bool](),
			do: with(func(q *request, in queue.Report) (any, error) {
				return a.Plane.Remote(q.who.Remote()).Renew(q.Context(), in)
			}),
		},
		{
			method: "POST", path: "/worker/end", summary: "end a job", who: workers, limit: endBody, in: typeOf[queue.End](), out: typeOf[queue.Job](),
			do: with(func(q *request, in queue.End) (any, error) {
				return a.Plane.Remote(q.who.Remote()).End(q.Context(), in)
			}),
		},
	}
}

// acquire keeps the request open until there is a job. If the worker has gone by then, the request's context has ended and the
// job goes to another one.
func (a *API) acquire(q *request, in queue.Request) (any, error) {
	ctx, cancel := context.WithTimeout(q.Context(), longPoll)
	defer cancel()
	stop := context.AfterFunc(a.closing, cancel)
	defer stop()
	remote := a.Plane.Remote(q.who.Remote())
	job, err := remote.AcquireJob(ctx, in)
	switch {
	case err == nil:
		return job, a.stillValid(q, remote, job)
	case ctx.Err() != nil && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)):
		return nil, nil
	}
	return nil, err
}

// stillValid gives a job back whose worker was ended while it waited.
func (a *API) stillValid(q *request, remote dormouse.Remote, job queue.Job) error {
	_, err := a.Keeper.Of(q.Context(), auth.Bearer(q.Request))
	if !errors.Is(err, auth.ErrUnknown) {
		return nil
	}
	if _, err := remote.End(q.Context(), queue.End{Handout: job.Handout(), Outcome: queue.OutcomeReleased}); err != nil {
		return err
	}
	return refuse(http.StatusUnauthorized, "unauthorized", "the token was ended meanwhile")
}

func (a *API) listWorkers(q *request) (any, error) {
	known, err := a.Keeper.List(q.Context(), auth.Worker)
	if err != nil {
		return nil, err
	}
	all := Workers{Registered: make([]Worker, len(known))}
	for i, w := range known {
		all.Registered[i] = Worker{w.Token, w.Name, w.Work}
	}
	if all.Processes, err = a.Plane.Processes(q.Context(), uuid.Nil, 1000); err != nil {
		return nil, err
	}
	if p, err := a.elastic(); err == nil {
		all.Machines = map[string]int{}
		for state, n := range p.Counts().Workers {
			all.Machines[state.String()] = n
		}
	}
	return all, nil
}

func (a *API) register(q *request, in NewWorker) (any, error) {
	if err := validName("name", in.Name); err != nil {
		return nil, err
	}
	if in.Slots < 1 || in.Slots > 64 {
		return nil, invalid.New("slots", in.Slots, "must be between 1 and 64")
	}
	if _, err := queue.NewTagSet(in.Tags); err != nil {
		return nil, invalid.As("tags", err)
	}
	id, token, err := a.Keeper.Issue(q.Context(), auth.Worker, in.Name, auth.Work{Tags: in.Tags, Slots: in.Slots})
	return Secret{id, token}, err
}

// endWorker ends a registration. The jobs that the worker holds are lost at once, and not when it has been silent for long enough: it
// can report on them no more.
func (a *API) endWorker(q *request) (any, error) {
	if _, err := a.endToken(q); err != nil {
		return nil, err
	}
	gone := auth.Identity{Token: q.PathValue("id")}.Remote().Worker
	held, err := a.Plane.Acquirer().RunningJobs(q.Context(), func(j queue.Job) bool { return j.Worker == gone })
	if err == nil {
		leases := make([]queue.Lease, len(held))
		for i, j := range held {
			leases[i] = j.Lease()
		}
		err = a.Plane.Acquirer().Lost(q.Context(), "its worker's registration was ended", leases...)
	}
	if err != nil { // it is ended all the same, and its silence will say so
		a.Logger.WarnContext(q.Context(), "the jobs of a worker that was ended wait for its silence", "request_id", q.id, "error", err)
	}
	return nil, nil
}
