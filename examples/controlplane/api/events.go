package api

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/examples/controlplane/auth"
	"github.com/dormouse-go/dormouse/invalid"
)

const (
	// lookAgain is how often a stream asks for what is new: another replica may have written it.
	lookAgain = 300 * time.Millisecond
	// keepAlive is how often a silent stream says that it is there.
	keepAlive = 15 * time.Second
	// streamsEach is how many streams one identity may have.
	streamsEach = 5
	eventPage   = 100
)

func (a *API) eventRoutes() []route {
	return []route{{
		method: "GET", path: "/events", summary: "what happens, as server-sent events; Last-Event-ID goes on where a stream has ended", who: people, stream: a.events,
		query: []param{{"after", "begin after this number; with what is new if it is left out"}},
	}}
}

// errNoRecords answers what needs tables that are not there.
var errNoRecords = refuse(http.StatusNotImplemented, "no_records", "there are no tables of the control plane here")

func (a *API) events(w http.ResponseWriter, q *request) error {
	if a.Records == nil {
		return errNoRecords
	}
	release, err := a.openStream(q.who.Token)
	if err != nil {
		w.Header().Set("Retry-After", "10")
		return err
	}
	defer release()
	owner := uuid.Nil
	if q.who.Kind == auth.Owner {
		owner = a.Plane.OwnerID(q.who.Name)
	}
	seq, err := a.firstEvent(q)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	if q.Method == http.MethodHead {
		return nil
	}
	a.follow(w, q, owner, seq)
	return nil
}

// firstEvent is the number after which a stream begins.
func (a *API) firstEvent(q *request) (int64, error) {
	s := q.Header.Get("Last-Event-ID")
	if s == "" {
		s = q.URL.Query().Get("after")
	}
	if s == "" {
		return a.Records.LastEvent(q.Context())
	}
	seq, err := strconv.ParseInt(s, 10, 64)
	if err != nil || seq < 0 {
		return 0, invalid.New("after", short(s), "must be the number of an event")
	}
	return seq, nil
}

// follow sends what happens until the client, or this process, goes. A token that is made invalid ends the stream.
func (a *API) follow(w http.ResponseWriter, q *request, owner uuid.UUID, seq int64) {
	control := http.NewResponseController(w)
	silent := time.Now()
	ticker := time.NewTicker(lookAgain)
	defer ticker.Stop()
	for first := true; ; first = false {
		list, err := a.Records.EventsAfter(q.Context(), seq, owner, eventPage)
		if err != nil {
			return
		}
		_ = control.SetWriteDeadline(time.Now().Add(usualCall))
		for _, e := range list {
			seq = e.Seq
			if _, err := fmt.Fprintf(w, "id: %d\nevent: %s\ndata: %s\n\n", e.Seq, e.Kind, e.Body); err != nil {
				return
			}
		}
		if first || time.Since(silent) > keepAlive {
			if _, err := a.Keeper.Of(q.Context(), auth.Bearer(q.Request)); err != nil {
				return
			}
			_, _ = fmt.Fprint(w, ": still here\n\n")
			silent = time.Now()
		}
		if control.Flush() != nil {
			return
		}
		if len(list) == eventPage {
			continue
		}
		select {
		case <-q.Context().Done():
			return
		case <-a.closing.Done():
			return
		case <-ticker.C:
		}
	}
}

// openStream counts a stream of somebody.
func (a *API) openStream(token string) (release func(), err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := 0
	for _, n := range a.streams {
		all += n
	}
	if all >= a.MaxStreams || a.streams[token] >= streamsEach {
		return nil, refuse(http.StatusTooManyRequests, "too_many", "these are more streams than a share")
	}
	a.streams[token]++
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.streams[token]--; a.streams[token] == 0 {
			delete(a.streams, token)
		}
	}, nil
}
