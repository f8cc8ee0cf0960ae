// Package client speaks to the API of the control plane: for workers, and for the command line.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// patience is how long an answer may take: the longest poll and some more. A control plane that is silent for longer is gone,
// whatever its connection looks like.
const patience = 30 * time.Second

// maxAnswer bounds what is read of an answer.
const maxAnswer = 32 << 20

// Client is somebody with a token. It is safe for concurrent use.
type Client struct {
	addresses func() []string
	token     string
	http      *http.Client
	next      atomic.Int64
}

// New returns a client for the replicas at some addresses ("http://127.0.0.1:8080"), which are asked in turn when one does not
// answer.
func New(addresses func() []string, token string, h *http.Client) *Client {
	if h == nil {
		h = http.DefaultClient
	}
	return &Client{addresses: addresses, token: token, http: h}
}

// Error is a problem that the control plane answered with. It matches the errors of the library that have a meaning to a worker.
type Error struct{ dormouse.Problem }

// Error implements error.
func (e *Error) Error() string {
	if e.Detail != "" {
		return e.Detail
	}
	return e.Title
}

// meanings are the kinds of problems that stand for errors of the library.
var meanings = map[string]error{
	"urn:dormouse:problem:lease_lost": queue.ErrLeaseLost,
	"urn:dormouse:problem:run_limit":  queue.ErrTimeout,
	"urn:dormouse:problem:invalid":    invalid.Err,
	"urn:dormouse:problem:not_found":  lifecycle.ErrNotFound,
}

// Is implements the matching of errors.Is.
func (e *Error) Is(target error) bool { return meanings[e.Type] == target }

// Do sends a request and reads the answer into a value, unless that is nil. It is false if the answer has no content. Query and
// header may be nil.
func (c *Client) Do(ctx context.Context, method, path string, query url.Values, header http.Header, body, into any) (bool, error) {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return false, err
		}
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	all := c.addresses()
	if len(all) == 0 {
		return false, errors.New("no control plane is known")
	}
	var failed error
	for range all {
		at := c.next.Load()
		response, err := c.send(ctx, method, all[int(at)%len(all)]+path, header, text)
		if err == nil {
			return read(response, path, into)
		}
		failed = err
		if ctx.Err() != nil {
			break
		}
		c.next.CompareAndSwap(at, at+1)
	}
	return false, failed
}

func (c *Client) send(ctx context.Context, method, address string, header http.Header, text []byte) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(text))
	if err != nil {
		cancel()
		return nil, err
	}
	for name, values := range header {
		request.Header[name] = values
	}
	if len(text) > 0 {
		request.Header.Set("Content-Type", "application/json")
	}
	request.Header.Set("Authorization", "Bearer "+c.token)
	response, err := c.http.Do(request)
	if err != nil {
		cancel()
		return nil, err
	}
	response.Body = &canceling{response.Body, cancel}
	return response, nil
}

// canceling is a body that ends its request's context when it is closed.
type canceling struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (c *canceling) Close() error {
	defer c.cancel()
	return c.ReadCloser.Close()
}

func read(response *http.Response, path string, into any) (bool, error) {
	defer response.Body.Close()
	switch {
	case response.StatusCode == http.StatusNoContent:
		return false, nil
	case response.StatusCode >= http.StatusBadRequest:
		return false, problemIn(response, path)
	case into == nil:
		return true, nil
	}
	limited := io.LimitReader(response.Body, maxAnswer)
	if text, ok := into.(*[]byte); ok {
		var err error
		*text, err = io.ReadAll(limited)
		return true, err
	}
	return true, json.NewDecoder(limited).Decode(into)
}

func problemIn(response *http.Response, path string) error {
	text, _ := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	var p dormouse.Problem
	if json.Unmarshal(text, &p) == nil && p.Type != "" {
		return &Error{p}
	}
	return fmt.Errorf("%s: %s", path, response.Status)
}
