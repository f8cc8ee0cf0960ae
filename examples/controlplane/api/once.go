package api

import (
	"cmp"
	"crypto/sha256"
	"net/http"
	"time"

	"github.com/dormouse-go/dormouse/examples/controlplane/auth"
	"github.com/dormouse-go/dormouse/examples/controlplane/records"
	"github.com/dormouse-go/dormouse/invalid"
)

// keyHeader lets a request be repeated: the same key gets the same answer, whatever came in between.
const keyHeader = "Idempotency-Key"

// orphaned reports whether a request that was begun will never end: its process is gone, or every call has long been given up. It is
// carried out again, which the verbs bear.
func (a *API) orphaned(rt route, before records.Answer) bool {
	return a.Gone(before.BegunBy) || time.Since(before.BegunAt) > cmpOr(rt.calls, usualCall)+5*time.Second
}

// once calls a route, or repeats what was answered to the request under its key.
func (a *API) once(w http.ResponseWriter, rt route, q *request) {
	key := q.Header.Get(keyHeader)
	switch {
	case key == "" || rt.method == http.MethodGet || a.Records == nil:
		a.answer(w, rt, q)
		return
	case rt.secret:
		a.fail(w, q, invalid.New(keyHeader, short(key), "must be left out: the answer holds a secret, which is not kept"))
		return
	case len(key) > 128 || !printable(key):
		a.fail(w, q, invalid.New(keyHeader, short(key), "must be 1 to 128 letters, digits and signs"))
		return
	}
	sum := sha256.Sum256([]byte(rt.method + " " + q.URL.RequestURI() + "\x00" + q.Header.Get("If-Match") + "\x00" + string(q.body)))
	first, before, err := a.Records.BeginRequest(q.Context(), q.identity(), key, sum[:], time.Now(), a.Instance)
	if first && err == nil {
		err = a.keyRoom(q, key)
	}
	switch {
	case err != nil:
		a.fail(w, q, err)
	case first, before.Same && before.Status == 0 && a.orphaned(rt, before) && a.takes(q, key, before):
		a.keep(w, rt, q, key)
	case !before.Same:
		a.fail(w, q, invalid.New(keyHeader, key, "must not be used for another request"))
	case before.Status == 0:
		w.Header().Set("Retry-After", "1")
		a.fail(w, q, refuse(http.StatusConflict, "in_progress", "the request with this key is being carried out"))
	default:
		w.Header().Set("Idempotency-Replayed", "true")
		send(w, before.Status, "", before.Body)
	}
}

// keyRoom refuses more keys than one identity may use.
func (a *API) keyRoom(q *request, key string) error {
	n, err := a.Records.Requests(q.Context(), q.identity())
	if err != nil || n <= a.MaxKeys {
		return err
	}
	return cmp.Or[error](a.Records.ForgetRequest(q.Context(), q.identity(), key),
		refuse(http.StatusTooManyRequests, "too_many", "these are more idempotency keys than one may use in a day"))
}

func (a *API) takes(q *request, key string, before records.Answer) bool {
	ok, err := a.Records.TakeRequest(q.Context(), q.identity(), key, before, time.Now(), a.Instance)
	return ok && err == nil
}

// keep carries a request out and keeps what was answered, unless asking again may go better.
func (a *API) keep(w http.ResponseWriter, rt route, q *request, key string) {
	code, body := a.answer(w, rt, q)
	var err error
	if code >= http.StatusInternalServerError || code == http.StatusTooManyRequests {
		err = a.Records.ForgetRequest(q.Context(), q.identity(), key)
	} else {
		err = a.Records.EndRequest(q.Context(), q.identity(), key, code, body)
	}
	if err != nil {
		a.Logger.WarnContext(q.Context(), "the answer to a request is not kept", "request_id", q.id, "error", err)
	}
}

// answer calls a route and writes what it says.
func (a *API) answer(w http.ResponseWriter, rt route, q *request) (code int, body []byte) {
	said, err := rt.do(q)
	kind, body, encoding := encode(said)
	if err == nil {
		err = encoding
	}
	if err != nil {
		a.fail(w, q, err)
		_, body, _ = encode(problemOf(err))
		return problemOf(err).Status, body
	}
	if q.etag != "" {
		w.Header().Set("ETag", q.etag)
	}
	code = http.StatusOK
	if said == nil {
		code = http.StatusNoContent
	}
	send(w, code, kind, body)
	return code, body
}

func send(w http.ResponseWriter, code int, kind string, body []byte) {
	switch {
	case kind == "" && code >= http.StatusBadRequest:
		kind = "application/problem+json"
	case kind == "" && len(body) > 0:
		kind = "application/json"
	}
	if kind != "" {
		w.Header().Set("Content-Type", kind)
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(usualCall))
	w.WriteHeader(code)
	_, _ = w.Write(body)
}

// identity is under which name requests are kept: a new token of an owner is the same owner. The names of workers need not differ.
func (q *request) identity() string {
	if q.who.Kind == auth.Worker {
		return string(auth.Worker) + " " + q.who.Token
	}
	return string(q.who.Kind) + " " + q.who.Name
}

func printable(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return true
}
