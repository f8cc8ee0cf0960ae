package dormouse

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/acquirer/worker"
	"github.com/dormouse-go/dormouse/internal/text"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/schedule"
	"github.com/dormouse-go/dormouse/workerpool"
)

// Problem is an error as an HTTP API answers it: a problem document (RFC 9457). It is an http.Handler that writes itself.
type Problem struct {
	// Type is "urn:dormouse:problem:" and the kind, such as not_found, for programs.
	Type string `json:"type"`
	// Title is the kind in words, Status the HTTP status, and Detail what happened this time. What an error within the
	// service says is for its log, so it has no Detail.
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	// Field, Value and Rule are those of bad input. Value is without control and hidden characters: it is somebody's.
	Field string `json:"field,omitempty"`
	Value string `json:"value,omitempty"`
	Rule  string `json:"rule,omitempty"`
}

// kind is what errors of one sentinel are answered with.
type kind struct {
	is     error
	status int
	name   string
	title  string
}

// kinds are asked in this order: a failure of the store first, since what it wraps says nothing about the request then.
var kinds = []kind{
	{lifecycle.ErrUnavailable, http.StatusServiceUnavailable, "unavailable", "the store cannot be reached"},
	{queue.ErrStopped, http.StatusServiceUnavailable, "stopping", "the service is stopping"},
	{worker.ErrDraining, http.StatusServiceUnavailable, "stopping", "the service is stopping"},
	{workerpool.ErrNotRunning, http.StatusServiceUnavailable, "stopping", "the service is stopping"},
	{prewarm.ErrNotRunning, http.StatusServiceUnavailable, "stopping", "the service is stopping"},
	{queue.ErrProcessLost, http.StatusServiceUnavailable, "process_lost", "this process was declared lost and registers anew"},
	{context.DeadlineExceeded, http.StatusGatewayTimeout, "timeout", "it took too long"},
	{context.Canceled, statusClientClosed, "client_closed", "the client went away"},

	{lifecycle.ErrNotFound, http.StatusNotFound, "not_found", "there is no such thing"},
	{queue.ErrNotFound, http.StatusNotFound, "not_found", "there is no such thing"},
	{lifecycle.ErrDeleted, http.StatusGone, "deleted", "the workspace is deleted"},
	{lifecycle.ErrForbidden, http.StatusForbidden, "forbidden", "the template's policy does not allow it"},
	{lifecycle.ErrManaged, http.StatusConflict, "managed", "something else controls the workspace"},
	{ErrExists, http.StatusConflict, "exists", "it exists already"},
	{ErrShadow, http.StatusConflict, "shadow", "the service only looks, beside another scheduler"},
	{ErrChanged, http.StatusPreconditionFailed, "changed", "it is not as the request expects it"},
	{ErrNotRunning, http.StatusConflict, "not_running", "the workspace does not run"},
	{lifecycle.ErrBuildActive, http.StatusConflict, "build_active", "a build is active and has to end first"},
	{lifecycle.ErrStaleBuild, http.StatusConflict, "stale_build", "another build is the latest, or it has ended"},
	{lifecycle.ErrPolicyChanged, http.StatusConflict, "policy_changed", "the policy has changed since it was planned"},
	{lifecycle.ErrStaleTemplate, http.StatusConflict, "stale_template", "the template was changed meanwhile"},
	{lifecycle.ErrUnreadable, http.StatusConflict, "unreadable", "what is stored is another version's, and is kept as it is"},
	{lifecycle.ErrInUse, http.StatusConflict, "in_use", "still in use"},
	{lifecycle.ErrUnchanged, http.StatusConflict, "unchanged", "there is nothing to change"},
	{executor.ErrConflict, http.StatusConflict, "conflict", "it changed faster than it could be updated"},
	{queue.ErrLeaseLost, http.StatusConflict, "lease_lost", "the job is no longer the caller's"},
	{lifecycle.ErrClaimed, http.StatusConflict, "claimed", "somebody else has claimed it"},
	{lifecycle.ErrNameTaken, http.StatusConflict, "name_taken", "the owner has another workspace of that name"},
	{lifecycle.ErrNotClaimable, http.StatusConflict, "not_claimable", "it is not ready to be claimed"},
	{workerpool.ErrUnknownWorker, http.StatusNotFound, "not_found", "there is no such thing"},
	{workerpool.ErrUnknownJob, http.StatusNotFound, "not_found", "there is no such thing"},
	{workerpool.ErrNotIdle, http.StatusConflict, "not_idle", "the worker is busy or held"},
	{workerpool.ErrNoRoom, http.StatusConflict, "no_room", "no worker has room"},
	{prewarm.ErrNotFound, http.StatusNotFound, "not_found", "there is no such thing"},
	{prewarm.ErrEnded, http.StatusGone, "claim_ended", "the claim has ended"},
	{prewarm.ErrKeyReused, http.StatusConflict, "key_reused", "the key belongs to another owner"},
	{prewarm.ErrConflict, http.StatusConflict, "conflict", "it changed faster than it could be updated"},
	{queue.ErrTooMany, http.StatusTooManyRequests, "too_many", "it is more at once than a share"},
	{queue.ErrTimeout, http.StatusConflict, "run_limit", "the job has run longer than its limit"},
	{queue.ErrJobCanceled, http.StatusConflict, "canceled", "the job was canceled"},

	{schedule.ErrNoAllowedAutostart, http.StatusUnprocessableEntity, "invalid", "the input breaks a rule"},
	{invalid.Err, http.StatusUnprocessableEntity, "invalid", "the input breaks a rule"},
}

// statusClientClosed is what proxies write to their logs when nobody waits for the answer any more; no client sees it.
const statusClientClosed = 499

// internal is what nobody outside can do anything about.
var internal = kind{nil, http.StatusInternalServerError, "internal", "something went wrong in the service"}

// ProblemOf returns the problem that an error of this library is answered with; the table of them is in docs/embedding.md.
// An error that the library does not know is a 500. For nil it returns the zero Problem.
func ProblemOf(err error) Problem {
	if err == nil {
		return Problem{}
	}
	k := kindOf(err)
	p := Problem{Type: "urn:dormouse:problem:" + k.name, Title: k.title, Status: k.status}
	if k.status < http.StatusInternalServerError {
		p.Detail = err.Error()
	}
	var refused *invalid.Error
	if errors.Is(k.is, invalid.Err) && errors.As(err, &refused) {
		p.Field, p.Value, p.Rule = refused.Field, text.Plain(fmt.Sprint(refused.Value)), refused.Rule
	}
	return p
}

func kindOf(err error) kind {
	for _, k := range kinds {
		if errors.Is(err, k.is) {
			return k
		}
	}
	var empty *prewarm.EmptyError
	if errors.As(err, &empty) {
		return kind{empty, http.StatusConflict, "pool_empty", "nothing is ready in the pool"}
	}
	var refusal *executor.RefusalError
	if errors.As(err, &refusal) {
		return kind{refusal, http.StatusConflict, "refused", "it is refused for now"}
	}
	return internal
}

// ServeHTTP writes the problem. A problem that passes by itself says when to ask again.
func (p Problem) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("X-Content-Type-Options", "nosniff") // the value that was refused is in it
	if p.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "5")
	}
	if p.Status == 0 {
		p.Status = http.StatusOK
	}
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p)
}
