package client

import (
	"context"
	"net/http"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/acquirer/worker"
)

// Source is a [worker.Source] of the control plane's jobs, for the worker whose token the client has.
type Source struct{ *Client }

var _ worker.Source = Source{}

// AcquireJob asks until there is a job: the control plane answers each request within its long poll.
func (s Source) AcquireJob(ctx context.Context, r queue.Request) (queue.Job, error) {
	for {
		var job queue.Job
		found, err := s.Do(ctx, http.MethodPost, "/api/v1/worker/acquire", nil, nil, r, &job)
		if err != nil || found {
			return job, err
		}
	}
}

// Renew implements [worker.Source].
func (s Source) Renew(ctx context.Context, r queue.Report) (canceled bool, err error) {
	_, err = s.Do(ctx, http.MethodPost, "/api/v1/worker/renew", nil, nil, r, &canceled)
	return canceled, err
}

// End implements [worker.Source].
func (s Source) End(ctx context.Context, e queue.End) (job queue.Job, err error) {
	_, err = s.Do(ctx, http.MethodPost, "/api/v1/worker/end", nil, nil, e, &job)
	return job, err
}
