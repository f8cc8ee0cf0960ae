// Package httpsource is a [worker.Source] over plain HTTP with long polling. It links the worker's side of the hand-off only:
// no engine, no store.
package httpsource

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/acquirer/worker"
	"github.com/dormouse-go/dormouse/invalid"
)

// Source gets jobs from a control plane.
type Source struct {
	url, token string
	client     *http.Client
}

// patience is how long an answer may take: the control plane's long poll and some more. A control plane that is silent for longer is
// gone, whatever its connection looks like.
const patience = 30 * time.Second

// maxAnswer is a job of the largest payload, in JSON.
const maxAnswer = 4 << 20

var _ worker.Source = Source{}

// New returns a source for the control plane at a URL, for the worker whose token it is.
func New(url, token string, client *http.Client) Source { return Source{url, token, client} }

// AcquireJob asks until there is a job: the control plane answers each request within its long poll.
func (s Source) AcquireJob(ctx context.Context, r queue.Request) (queue.Job, error) {
	for {
		var job queue.Job
		found, err := s.post(ctx, "/acquire", r, &job)
		if err != nil || found {
			return job, err
		}
	}
}

// Renew implements [worker.Source].
func (s Source) Renew(ctx context.Context, r queue.Report) (canceled bool, err error) {
	_, err = s.post(ctx, "/renew", r, &canceled)
	return canceled, err
}

// End implements [worker.Source].
func (s Source) End(ctx context.Context, e queue.End) (job queue.Job, err error) {
	_, err = s.post(ctx, "/end", e, &job)
	return job, err
}

// post sends one request and turns the answer's status back into the acquirer's errors.
func (s Source) post(ctx context.Context, path string, body, into any) (found bool, err error) {
	text, err := json.Marshal(body)
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+path, bytes.NewReader(text))
	if err != nil {
		return false, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+s.token)
	response, err := s.client.Do(request)
	if err != nil {
		return false, err
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusOK:
		return true, json.NewDecoder(io.LimitReader(response.Body, maxAnswer)).Decode(into)
	case http.StatusNoContent:
		return false, nil
	}
	message, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10))
	err = fmt.Errorf("%s: %s: %s", path, response.Status, strings.TrimSpace(string(message)))
	switch response.StatusCode {
	case http.StatusConflict:
		err = fmt.Errorf("%w (%w)", queue.ErrLeaseLost, err)
	case http.StatusGone:
		err = fmt.Errorf("%w (%w)", queue.ErrTimeout, err)
	case http.StatusUnprocessableEntity:
		err = fmt.Errorf("%w (%w)", invalid.Err, err)
	}
	return false, err
}
