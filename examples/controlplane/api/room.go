package api

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/examples/controlplane/records"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// roomFor is for how long a workspace may be in the making. No call that makes one takes as long.
const roomFor = 2 * time.Minute

// Room keeps a place for one more workspace of an owner until leave is called, and refuses it if the owner has, and is making, as many as
// one may have. The workspace has the id, or, if the id is not known yet, is the only one of the owner that has the name: so it is counted
// once, whether its place was left or not, and repeating what made it needs no further place.
//
// Of several requests at once as many go as there is room. One is refused only while others make the rest.
func (a *API) Room(ctx context.Context, owner string, id uuid.UUID, name string) (leave func(), err error) {
	if owner == "" {
		return nil, invalid.New("owner", "", "must be a name")
	}
	place := records.Place{ID: uuid.NewString(), Since: time.Now()}
	place.Of = cmp.Or(byID(id), byName(name), place.ID)
	fit := false
	err = a.changePlaces(ctx, owner, func(places []records.Place) ([]records.Place, error) {
		places = slices.DeleteFunc(places, func(p records.Place) bool { return place.Since.Sub(p.Since) > roomFor })
		places = append(places, place)
		err := a.fits(ctx, owner, places)
		fit = err == nil
		return places, err
	})
	leave = func() { a.leave(ctx, owner, place) }
	if err == nil {
		return leave, nil
	}
	if fit {
		leave() // nobody knows whether it was written
	}
	return nil, err
}

// fits refuses places that are too many beside what their owner has. What was made after the places were read is either among them or was
// made by somebody who has changed them since, so that they cannot be written as they are.
func (a *API) fits(ctx context.Context, owner string, places []records.Place) error {
	n, there := 0, make(map[string]bool)
	q := dormouse.ListQuery{Owner: owner, Limit: 1000}
	for more := true; more; {
		page, err := a.Plane.List(ctx, q)
		if err != nil {
			return err
		}
		for _, w := range page {
			n++
			there[byID(w.ID)], there[byName(w.Name)] = true, true
			q = q.Following(w)
		}
		more = len(page) == q.Limit
	}
	for _, p := range places {
		if !there[p.Of] {
			n++
			there[p.Of] = true
		}
	}
	if n > a.MaxWorkspaces {
		return refuse(http.StatusTooManyRequests, "too_many", "the owner has as many workspaces as one may have")
	}
	return nil
}

// byID and byName are what a place may be for; "" for none.
func byID(id uuid.UUID) string {
	if id == uuid.Nil {
		return ""
	}
	return "id " + id.String()
}

func byName(name string) string {
	if name == "" {
		return ""
	}
	return "name " + name
}

// leave gives a place back, also if the request has ended. If that fails for good the place counts until its workspace is there, or for
// [roomFor] where it was not made.
func (a *API) leave(ctx context.Context, owner string, place records.Place) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), usualCall)
	defer cancel()
	without := func(places []records.Place) ([]records.Place, error) {
		return slices.DeleteFunc(places, func(p records.Place) bool { return p.ID == place.ID }), nil
	}
	err := a.changePlaces(ctx, owner, without)
	if err != nil { // a connection that broke is replaced by the next call
		err = a.changePlaces(ctx, owner, without)
	}
	if err != nil {
		a.Logger.WarnContext(ctx, "the place of a workspace in the making could not be left", "owner", owner, "of", place.Of, "kept_for", roomFor, "error", err)
	}
}

// changePlaces changes the places of an owner as a function says. When others change them meanwhile it is asked again.
func (a *API) changePlaces(ctx context.Context, owner string, change func([]records.Place) ([]records.Place, error)) error {
	key := a.Plane.OwnerID(owner).String() // whatever the name may be made of
	for {
		r, err := a.places.Rooms(ctx, key)
		if err == nil {
			r.Places, err = change(r.Places)
		}
		if err != nil {
			return err
		}
		if ok, err := a.places.PutRooms(ctx, key, r); ok || err != nil {
			return err
		}
	}
}

// places keeps the places of all owners, as [records.DB] does for all replicas.
type places interface {
	Rooms(ctx context.Context, owner string) (records.Rooms, error)
	PutRooms(ctx context.Context, owner string, r records.Rooms) (ok bool, err error)
}

func placesOf(tables *records.DB) places {
	if tables == nil {
		return &placesHere{rooms: make(map[string]records.Rooms)}
	}
	return tables
}

// placesHere keeps the places in this process. Like the tables it forgets no owner.
type placesHere struct {
	mu    sync.Mutex
	rooms map[string]records.Rooms
}

func (h *placesHere) Rooms(_ context.Context, owner string) (records.Rooms, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.rooms[owner]
	r.Places = slices.Clone(r.Places)
	return r, nil
}

func (h *placesHere) PutRooms(_ context.Context, owner string, r records.Rooms) (bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.rooms[owner].Version != r.Version {
		return false, nil
	}
	r.Version++
	h.rooms[owner] = r
	return true, nil
}

// has is how many workspaces an owner has.
func (a *API) has(ctx context.Context, owner string) (n int, err error) {
	counts, err := a.Plane.Count(ctx, dormouse.CountQuery{Owner: owner})
	for status, k := range counts {
		if status != lifecycle.StatusDeleted {
			n += k
		}
	}
	return n, err
}
