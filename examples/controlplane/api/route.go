package api

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/examples/controlplane/auth"
	"github.com/dormouse-go/dormouse/examples/controlplane/gate"
	"github.com/dormouse-go/dormouse/invalid"
)

// route is one method of one path.
type route struct {
	method, path, summary string
	// who may use it; nobody in particular if it is open.
	who []auth.Kind
	// limit of the body in bytes.
	limit int64
	// in and out are the types of the body and of the answer, and query what may stand behind the path.
	in, out reflect.Type
	query   []param
	do      func(*request) (any, error)
	// stream answers by itself, after the same checks.
	stream func(http.ResponseWriter, *request) error
	// calls is how long the route may take. Zero is a usual call.
	calls time.Duration
	// secret says that the answer holds one, so that it is never kept, not even for whoever repeats the request.
	secret bool
}

type param struct{ name, what string }

const (
	usualBody = 32 << 10
	usualCall = 20 * time.Second
	readTime  = 10 * time.Second
)

// request is what a route is asked, by whom.
type request struct {
	*http.Request
	who  auth.Identity
	body []byte
	id   string
	etag string
	// admitted says that it came as far as the route.
	admitted bool
}

// serve is the one way into every route.
func (a *API) serve(rt route) http.HandlerFunc {
	pattern := rt.method + " " + rt.path
	return func(w http.ResponseWriter, r *http.Request) {
		q := &request{Request: r, id: rand.Text()[:16]}
		w.Header().Set("X-Request-Id", q.id)
		recorded := &gate.Recorder{ResponseWriter: w}
		a.handle(recorded, rt, q)
		a.Gate.Answered(r, q.who, pattern, recorded.Code())
		if rt.method != http.MethodGet && q.admitted && q.who.Kind != auth.Worker {
			a.Logger.InfoContext(r.Context(), "a request was answered", "request_id", q.id, "by", q.who.Name, "kind", q.who.Kind, "token", q.who.Token,
				"route", pattern, "path", r.URL.Path, "code", recorded.Code())
		}
	}
}

func (a *API) handle(w http.ResponseWriter, rt route, q *request) {
	release, err := a.admit(w, rt, q)
	if err != nil {
		a.fail(w, q, err)
		return
	}
	defer release()
	q.admitted = true
	if rt.stream != nil {
		if err := rt.stream(w, q); err != nil {
			a.fail(w, q, err)
		}
		return
	}
	within := cmpOr(rt.calls, usualCall)
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(within + usualCall))
	ctx, cancel := context.WithTimeout(q.Context(), within)
	defer cancel()
	q.Request = q.WithContext(ctx)
	a.once(w, rt, q)
}

func cmpOr(a, b time.Duration) time.Duration {
	if a == 0 {
		return b
	}
	return a
}

// admit checks everything that comes before the route: where the request is from, who asks, how often, and the body.
func (a *API) admit(w http.ResponseWriter, rt route, q *request) (release func(), err error) {
	if err := a.origin.Check(q.Request); err != nil {
		return nil, refuse(http.StatusForbidden, "cross_origin", "a page of another site asks")
	}
	if len(rt.who) > 0 {
		if err := a.identify(w, rt, q); err != nil {
			return nil, err
		}
	}
	release, err = a.Gate.Enter(q.Request, q.who)
	if err != nil {
		return nil, tooMany(w)
	}
	if err := a.read(w, rt, q); err != nil {
		release()
		return nil, err
	}
	return release, nil
}

func (a *API) identify(w http.ResponseWriter, rt route, q *request) error {
	who, err := a.Gate.Identify(q.Request, a.Keeper, auth.Bearer(q.Request))
	switch {
	case errors.Is(err, gate.ErrTooMany):
		return tooMany(w)
	case errors.Is(err, auth.ErrUnknown):
		w.Header().Set("WWW-Authenticate", "Bearer")
		return refuse(http.StatusUnauthorized, "unauthorized", "there is no valid token in the header Authorization")
	case err != nil:
		return err
	}
	q.who = who
	if !slices.Contains(rt.who, who.Kind) {
		return refuse(http.StatusForbidden, "not_for_you", "the token is not for this")
	}
	return nil
}

func tooMany(w http.ResponseWriter) error {
	w.Header().Set("Retry-After", "1")
	return refuse(http.StatusTooManyRequests, "too_many", "these are more requests than a share")
}

// read reads the body within its limits.
func (a *API) read(w http.ResponseWriter, rt route, q *request) error {
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(readTime))
	limit := rt.limit
	if limit == 0 {
		limit = usualBody
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, q.Body, limit))
	if err == nil { // otherwise the server, which reads what is left of a body, would do so for ever
		_ = control.SetReadDeadline(time.Time{})
	}
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		w.Header().Set("Connection", "close") // nobody waits for the rest of it
		return refuse(http.StatusRequestEntityTooLarge, "too_long", "the body is longer than "+strconv.FormatInt(limit, 10)+" bytes")
	case err != nil:
		return refuse(http.StatusBadRequest, "unreadable", "the body cannot be read")
	case rt.in == nil && len(bytes.TrimSpace(body)) > 0:
		return invalid.New("body", "", "must be empty")
	case rt.in != nil && len(body) > 0:
		if kind, _, _ := mime.ParseMediaType(q.Header.Get("Content-Type")); kind != "application/json" {
			return refuse(http.StatusUnsupportedMediaType, "not_json", "the body must be application/json")
		}
	}
	q.body = body
	return nil
}

// fail answers with a problem, and tells the log what nobody else needs to know.
func (a *API) fail(w http.ResponseWriter, q *request, err error) {
	p := problemOf(err)
	if p.Status >= http.StatusInternalServerError && q.Context().Err() == nil {
		a.Logger.ErrorContext(q.Context(), "a request failed", "request_id", q.id, "path", q.URL.Path, "identity", q.who.Token, "error", err)
	} else if p.Status != http.StatusNotFound {
		a.Logger.DebugContext(q.Context(), "a request was refused", "request_id", q.id, "path", q.URL.Path, "identity", q.who.Token, "problem", p.Type)
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(usualCall))
	write(w, p)
}

// refused is a problem of the HTTP layer's own.
type refused dormouse.Problem

func (r refused) Error() string { return r.Title }

func refuse(status int, kind, title string) refused {
	return refused{Type: "urn:dormouse:problem:" + kind, Title: title, Status: status}
}

func problemOf(err error) dormouse.Problem {
	var r refused
	if errors.As(err, &r) {
		return dormouse.Problem(r)
	}
	p := dormouse.ProblemOf(err)
	p.Value = short(p.Value)
	p.Detail = short(p.Detail)
	return p
}

// short keeps what somebody sent from coming back at length.
func short(s string) string {
	if len(s) <= 1000 {
		return s
	}
	return strings.ToValidUTF8(s[:1000], "") + ".."
}

func write(w http.ResponseWriter, p dormouse.Problem) { p.ServeHTTP(w, nil) }

// text is an answer that is no JSON.
type text struct {
	kind string
	body []byte
}

// encode returns the bytes of an answer.
func encode(answer any) (kind string, body []byte, err error) {
	switch t := answer.(type) {
	case nil:
		return "", nil, nil
	case text:
		return t.kind, t.body, nil
	}
	var b bytes.Buffer
	err = json.NewEncoder(&b).Encode(answer)
	return "application/json", b.Bytes(), err
}

// into decodes the body. What the type does not know, and whatever follows, is refused.
func into[T any](q *request) (v T, err error) {
	if len(bytes.TrimSpace(q.body)) == 0 {
		return v, invalid.New("body", "", "must be a JSON object")
	}
	d := json.NewDecoder(bytes.NewReader(q.body))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		if errors.Is(err, invalid.Err) {
			return v, inField(q.body, err)
		}
		return v, invalid.New("body", "", "must be JSON of this request: %s", short(err.Error()))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return v, invalid.New("body", "", "must be one JSON value, and nothing behind it")
	}
	return v, nil
}

// inField names the field of a body in which a text of one of our types cannot be read: the text itself does not know it.
func inField(body []byte, err error) error {
	var bad *invalid.Error
	fields := map[string]any{}
	if !errors.As(err, &bad) || bad.Field != anyDuration || json.Unmarshal(body, &fields) != nil {
		return err
	}
	for name, value := range fields {
		if text, ok := value.(string); ok && short(text) == bad.Value {
			return invalid.New(name, bad.Value, "%s", bad.Rule)
		}
	}
	return err
}

// with makes a route's function of one that takes a body.
func with[T any](do func(*request, T) (any, error)) func(*request) (any, error) {
	return func(q *request) (any, error) {
		in, err := into[T](q)
		if err != nil {
			return nil, err
		}
		return do(q, in)
	}
}

// pathID is an id in the path.
func (q *request) pathID(name string) (uuid.UUID, error) {
	id, err := uuid.Parse(q.PathValue(name))
	if err != nil || len(q.PathValue(name)) != 36 {
		return uuid.Nil, invalid.New(name, short(q.PathValue(name)), "must be a UUID")
	}
	return id, nil
}

// number is a number in the query, 0 if it is not there.
func (q *request) number(name string) (int64, error) {
	s := q.URL.Query().Get(name)
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil {
		return 0, invalid.New(name, short(s), "must be a number")
	}
	return n, nil
}

// instant is an instant in the query, zero if it is not there.
func (q *request) instant(name string) (time.Time, error) {
	s := q.URL.Query().Get(name)
	if s == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return at, invalid.New(name, short(s), "must be an instant such as 2026-12-02T09:00:00Z")
	}
	return at, nil
}

// said are the options of a verb: who asks, what they say about it, and which revision they have seen.
func (q *request) said() ([]dormouse.Option, error) {
	options := []dormouse.Option{dormouse.By(q.who.Name)}
	if note := q.URL.Query().Get("note"); note != "" {
		options = append(options, dormouse.Note(note))
	}
	match := q.Header.Get("If-Match")
	if match == "" || match == "*" {
		return options, nil
	}
	n, err := strconv.ParseInt(strings.Trim(match, `"`), 10, 64)
	if err != nil || n < 1 {
		return nil, invalid.New("If-Match", short(match), "must be the ETag of a workspace")
	}
	return append(options, dormouse.IfRevision(n)), nil
}

// missing is the answer about what is not there, or is somebody else's.
func missing(kind string, id uuid.UUID) error { return &dormouse.NotFoundError{Kind: kind, ID: id} }
