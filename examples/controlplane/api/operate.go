package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/examples/controlplane/auth"
	"github.com/dormouse-go/dormouse/examples/controlplane/builds"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/workerpool"
)

// Job is a job of the queue, without what it carries.
type Job struct {
	ID   uuid.UUID `json:"id"`
	Type string    `json:"type"`
	// WorkspaceID, Workspace and Transition say what a build is of, unless it was too long ago.
	WorkspaceID uuid.UUID `json:"workspace_id,omitzero"`
	Workspace   string    `json:"workspace,omitempty"`
	Transition  string    `json:"transition,omitempty"`

	State     string            `json:"state"`
	Tags      map[string]string `json:"tags,omitempty"`
	Priority  int16             `json:"priority,omitempty"`
	Attempt   int               `json:"attempt"`
	Round     int               `json:"round,omitempty"`
	CreatedAt time.Time         `json:"created_at"`
	StartedAt time.Time         `json:"started_at,omitzero"`
	EndedAt   time.Time         `json:"ended_at,omitzero"`
	CancelAt  time.Time         `json:"cancel_at,omitzero"`
	Error     string            `json:"error,omitempty"`
	Percent   int               `json:"percent,omitempty"`
	Progress  string            `json:"progress,omitempty"`
}

// jobsOf are jobs with the names of the workspaces that they are about.
func (a *API) jobsOf(ctx context.Context, jobs ...queue.Job) ([]Job, error) {
	of, err := builds.Of(ctx, a.Store, a.Plane.Organization(), jobs)
	if err != nil {
		return nil, err
	}
	list := make([]Job, len(jobs))
	for i, j := range jobs {
		list[i] = jobOf(j)
		if b, ok := of[j.ID]; ok {
			list[i].WorkspaceID, list[i].Workspace, list[i].Transition = b.WorkspaceID, b.Name, b.Transition.String()
		}
	}
	return list, nil
}

// oneJobOf is one of them.
func (a *API) oneJobOf(ctx context.Context, j queue.Job) (Job, error) {
	list, err := a.jobsOf(ctx, j)
	if err != nil {
		return Job{}, err
	}
	return list[0], nil
}

func jobOf(j queue.Job) Job {
	return Job{
		ID: j.ID, Type: j.Type, State: string(j.State), Tags: j.Tags.Map(), Priority: j.Priority, Attempt: j.Attempt, Round: j.Round,
		CreatedAt: j.CreatedAt, StartedAt: j.StartedAt, EndedAt: j.EndedAt, CancelAt: j.CancelAt, Error: j.Error,
		Percent: j.Progress.Percent, Progress: j.Progress.Message,
	}
}

// JobWhy says where a job is and why.
type JobWhy struct {
	Job  Job    `json:"job"`
	Text string `json:"text"`
	// Ahead are the jobs that go before it, Waiting and Busy the slots that could run it.
	Ahead   int `json:"ahead"`
	Waiting int `json:"waiting"`
	Busy    int `json:"busy"`
}

// Attempt is an attempt at a job that did not succeed, or a retry by hand.
type Attempt struct {
	Attempt   int       `json:"attempt"`
	Round     int       `json:"round,omitempty"`
	Outcome   string    `json:"outcome"`
	StartedAt time.Time `json:"started_at,omitzero"`
	EndedAt   time.Time `json:"ended_at,omitzero"`
	Error     string    `json:"error,omitempty"`
	By        string    `json:"by,omitempty"`
}

// Remark is what somebody says about what they do.
type Remark struct {
	Note string `json:"note,omitempty"`
}

// Pause keeps jobs of a type, or all, from being handed out.
type Pause struct {
	Type  string    `json:"type,omitempty"`
	Until time.Time `json:"until,omitzero"`
	Note  string    `json:"note,omitempty"`
	By    string    `json:"by,omitempty"`
	At    time.Time `json:"at,omitzero"`
	// Everybody: it concerns all organizations, and is not for an admin of one to end.
	Everybody bool `json:"everybody,omitempty"`
}

func (a *API) jobRoutes() []route {
	return []route{
		{
			method: "GET", path: "/jobs", summary: "list jobs, the latest first", who: admins, out: typeOf[Page[Job]](), do: a.listJobs,
			query: []param{{"state", "pending, running, succeeded, failed or canceled"}, {"after", "next of the page before"}, {"limit", "1 to 500"}},
		},
		{method: "GET", path: "/jobs/{id}", summary: "where a job is, and why", who: admins, out: typeOf[JobWhy](), do: a.explainJob},
		{method: "GET", path: "/jobs/{id}/attempts", summary: "what became of it before", who: admins, out: typeOf[Page[Attempt]](), do: a.attempts},
		{method: "POST", path: "/jobs/{id}/retry", summary: "put a job that is over into line again", who: admins, in: typeOf[Remark](), out: typeOf[Job](), do: with(a.retryJob)},
		{method: "POST", path: "/jobs/{id}/cancel", summary: "ask for a job to be canceled", who: admins, in: typeOf[Remark](), out: typeOf[Job](), do: with(a.cancelJob)},
		{method: "GET", path: "/pauses", summary: "what is not handed out", who: admins, out: typeOf[Page[Pause]](), do: a.pauses},
		{method: "PUT", path: "/pauses", summary: "hand out no jobs of a type, or none", who: admins, in: typeOf[Pause](), do: with(a.pause)},
		{method: "DELETE", path: "/pauses", summary: "hand them out again", who: admins, do: a.resume, query: []param{{"type", "that of the pause"}}},
	}
}

// jobs are those of the organization.
func (a *API) jobs() acquirer.View { return a.Plane.Acquirer().Within(a.Plane.Organization()) }

func (a *API) listJobs(q *request) (any, error) {
	limit, err := q.number("limit")
	if err != nil {
		return nil, err
	}
	query := queue.JobQuery{Organization: a.Plane.Organization(), Limit: int(limit)}
	if s := q.URL.Query().Get("state"); s != "" {
		state, ok := states[s]
		if !ok {
			return nil, invalid.New("state", short(s), "must be pending, running, succeeded, failed or canceled")
		}
		query.States = []queue.State{state}
	}
	if query.After, err = a.place(q); err != nil {
		return nil, err
	}
	found, err := a.Plane.Acquirer().List(q.Context(), query)
	if err != nil {
		return nil, err
	}
	var page Page[Job]
	if page.Items, err = a.jobsOf(q.Context(), found.Jobs...); err != nil {
		return nil, err
	}
	if !found.Next.IsZero() {
		page.Next = found.Next.CreatedAt.Format(time.RFC3339Nano) + "/" + found.Next.ID.String()
	}
	return page, nil
}

var states = map[string]queue.State{
	"pending": queue.Pending, "running": queue.Running, "succeeded": queue.Succeeded, "failed": queue.Failed, "canceled": queue.Canceled,
}

// place is where the page before ended.
func (a *API) place(q *request) (p queue.JobPlace, err error) {
	s := q.URL.Query().Get("after")
	if s == "" {
		return p, nil
	}
	if n := len(s) - 37; n > 0 && s[n] == '/' {
		var atErr, idErr error
		p.CreatedAt, atErr = time.Parse(time.RFC3339Nano, s[:n])
		p.ID, idErr = uuid.Parse(s[n+1:])
		if atErr == nil && idErr == nil {
			return p, nil
		}
	}
	return p, invalid.New("after", short(s), "must be next of the page before")
}

func (a *API) explainJob(q *request) (any, error) {
	id, err := q.pathID("id")
	if err != nil {
		return nil, err
	}
	x, err := a.jobs().Explain(q.Context(), id)
	if err == nil && x.Pause == nil { // who has paused everybody's jobs is not for an admin of one organization
		x, err = a.Plane.Acquirer().Explain(q.Context(), id) // which names workers: an admin may read it
	}
	if err != nil {
		return nil, err
	}
	j, err := a.oneJobOf(q.Context(), x.Job)
	return JobWhy{j, x.Text, x.Ahead, x.Waiting, x.Busy}, err
}

func (a *API) attempts(q *request) (any, error) {
	id, err := q.pathID("id")
	if err != nil {
		return nil, err
	}
	list, err := a.jobs().Attempts(q.Context(), id)
	page := Page[Attempt]{Items: make([]Attempt, len(list))}
	for i, t := range list {
		page.Items[i] = Attempt{t.Attempt, t.Round, string(t.Outcome), t.StartedAt, t.EndedAt, t.Error, t.By}
	}
	return page, err
}

func (a *API) retryJob(q *request, in Remark) (any, error) {
	return a.oneJob(q, func(id uuid.UUID) ([]queue.Job, error) {
		return a.jobs().Retry(q.Context(), q.who.Name, in.Note, id)
	})
}

func (a *API) cancelJob(q *request, in Remark) (any, error) {
	reason := "canceled by " + q.who.Name
	if in.Note != "" {
		reason += ": " + in.Note
	}
	return a.oneJob(q, func(id uuid.UUID) ([]queue.Job, error) { return a.jobs().Cancel(q.Context(), reason, id) })
}

// oneJob does something to a job; one that is as asked for already is answered as it is.
func (a *API) oneJob(q *request, do func(uuid.UUID) ([]queue.Job, error)) (any, error) {
	id, err := q.pathID("id")
	if err != nil {
		return nil, err
	}
	changed, err := do(id)
	if err != nil {
		return nil, err
	}
	if len(changed) == 1 {
		if j, err := a.oneJobOf(q.Context(), changed[0]); err == nil {
			return j, nil
		}
		return jobOf(changed[0]), nil // it is done, whatever it is of
	}
	j, err := a.jobs().Job(q.Context(), id)
	if err != nil {
		return nil, err
	}
	return a.oneJobOf(q.Context(), j)
}

func (a *API) pauses(q *request) (any, error) {
	list, err := a.jobs().Pauses(q.Context())
	page := Page[Pause]{Items: make([]Pause, len(list))}
	for i, p := range list {
		everybody := p.Organization != a.Plane.Organization()
		page.Items[i] = Pause{Type: p.Type, Until: p.Until, Note: p.Note, By: p.By, At: p.At, Everybody: everybody}
	}
	return page, err
}

// scope is a type of jobs of the organization, or all of them; of a plane without one it is everybody's.
func (a *API) scope(jobType string) queue.Scope {
	return queue.Scope{Organization: a.Plane.Organization(), Type: jobType}
}

func (a *API) pause(q *request, in Pause) (any, error) {
	if in.Everybody {
		return nil, invalid.New("everybody", true, "must not be set: a pause is of the organization that asks for it")
	}
	return nil, a.Plane.Acquirer().Pause(q.Context(), queue.Pause{Scope: a.scope(in.Type), Until: in.Until, Note: in.Note, By: q.who.Name})
}

func (a *API) resume(q *request) (any, error) {
	_, err := a.Plane.Acquirer().Resume(q.Context(), a.scope(q.URL.Query().Get("type")))
	return nil, err
}

// Pool is a warm pool.
type Pool struct {
	Name     string            `json:"name"`
	Desired  int               `json:"desired"`
	Ready    int               `json:"ready"`
	Starting int               `json:"starting"`
	Waiting  int               `json:"waiting"`
	HitRate  float64           `json:"hit_rate"`
	Claims   map[string]uint64 `json:"claims"`
	Misses   map[string]uint64 `json:"misses"`
	Blocked  string            `json:"blocked,omitempty"`
	Text     string            `json:"text"`
}

// ClaimWanted asks for a workspace that runs already.
type ClaimWanted struct {
	Name  string `json:"name"`
	Owner string `json:"owner,omitempty"`
	dormouse.Schedule
	TTL     Duration        `json:"ttl,omitempty"`
	IfEmpty prewarm.IfEmpty `json:"if_empty,omitempty"`
}

// Claimed is a workspace that was handed out.
type Claimed struct {
	Workspace dormouse.Workspace `json:"workspace"`
	Source    string             `json:"source"`
	Waited    Duration           `json:"waited"`
}

func (a *API) poolRoutes() []route {
	return []route{
		{method: "GET", path: "/pools", summary: "the warm pools", who: admins, out: typeOf[Page[Pool]](), do: a.pools},
		{method: "POST", path: "/pools/{name}/claims", summary: "take a workspace that runs already", who: people, in: typeOf[ClaimWanted](), out: typeOf[Claimed](), do: with(a.claim), calls: time.Minute},
		{method: "POST", path: "/pools/{name}/pause", summary: "create and remove no members", who: admins, do: a.ofPool(func(q *request, p *prewarm.Pool) error { return p.Pause(q.Context(), q.who.Name) })},
		{method: "POST", path: "/pools/{name}/resume", summary: "go on", who: admins, do: a.ofPool(func(q *request, p *prewarm.Pool) error { return p.Resume(q.Context()) })},
	}
}

func (a *API) pools(q *request) (any, error) {
	page := Page[Pool]{Items: []Pool{}}
	for _, name := range a.Pools {
		p, ok := a.Plane.Pool(name)
		if !ok {
			continue
		}
		s := p.Stats()
		one := Pool{
			Name: name, Desired: s.Target.Size, Ready: s.Counts.Ready, Starting: s.Counts.Starting, Waiting: s.Waiting, HitRate: s.HitRate(),
			Claims: map[string]uint64{}, Misses: map[string]uint64{}, Blocked: string(s.Blocked),
		}
		for source, n := range s.Claims {
			one.Claims[string(source)] = n
		}
		for reason, n := range s.Misses {
			one.Misses[string(reason)] = n
		}
		x, err := p.Explain(q.Context())
		if err != nil {
			return nil, err
		}
		one.Text = x.String()
		page.Items = append(page.Items, one)
	}
	return page, nil
}

func (a *API) claim(q *request, in ClaimWanted) (any, error) {
	name := q.PathValue("name")
	if _, ok := a.Plane.Pool(name); !ok {
		return nil, refuse(http.StatusNotFound, "not_found", "there is no such pool")
	}
	if q.who.Kind == auth.Owner {
		in.Owner = q.who.Name
	}
	leave, err := a.Room(q.Context(), in.Owner, uuid.Nil, in.Name)
	if err != nil {
		return nil, err
	}
	defer leave()
	n := dormouse.NewWorkspace{Owner: in.Owner, Name: in.Name, Hours: in.Hours, Autostart: in.Autostart, Autostop: in.Autostop, TTL: time.Duration(in.TTL)}
	c := dormouse.Claim{Pool: name, Workspace: n, IfEmpty: in.IfEmpty}
	if key := q.Header.Get(keyHeader); key != "" {
		c.Key = uuid.NewSHA1(uuid.Nil, []byte(q.identity()+"\x00"+key)).String()
	}
	got, err := a.Plane.Claim(q.Context(), c, dormouse.By(q.who.Name))
	if err != nil {
		return nil, err
	}
	q.etag = etag(got.Workspace)
	return Claimed{got.Workspace, string(got.Source), Duration(got.Waited)}, nil
}

func (a *API) ofPool(do func(*request, *prewarm.Pool) error) func(*request) (any, error) {
	return func(q *request) (any, error) {
		p, ok := a.Plane.Pool(q.PathValue("name"))
		if !ok {
			return nil, refuse(http.StatusNotFound, "not_found", "there is no such pool")
		}
		return nil, do(q, p)
	}
}

var errNoElastic = errors.New("no elastic workers here")

// elastic is the pool of elastic workers, if this process has it.
func (a *API) elastic() (*workerpool.Pool, error) {
	if a.Elastic != nil {
		if p := a.Elastic(); p != nil {
			return p, nil
		}
	}
	return nil, errNoElastic
}
