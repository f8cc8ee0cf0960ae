package api

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// roomFor is for how long a workspace may be in the making. No call that makes one takes as long.
const roomFor = 2 * time.Minute

// Room keeps a place for one more workspace of an owner until leave is called, and refuses it if the owner has, and is making, as many as
// one may have. Of several requests at once for the last place all may be refused, and never more than one goes.
func (a *API) Room(ctx context.Context, owner string) (leave func(), err error) {
	if owner == "" {
		return nil, invalid.New("owner", "", "must be a name")
	}
	making, leave, err := a.takeRoom(ctx, owner)
	if err != nil {
		return nil, err
	}
	n, err := a.has(ctx, owner)
	if err == nil && n+making > a.MaxWorkspaces {
		err = refuse(http.StatusTooManyRequests, "too_many", "the owner has as many workspaces as one may have")
	}
	if err != nil {
		leave()
		return nil, err
	}
	return leave, nil
}

// takeRoom notes that an owner is making a workspace, and says how many they are making: in all replicas, if there are tables for it.
func (a *API) takeRoom(ctx context.Context, owner string) (making int, leave func(), err error) {
	if a.Records == nil {
		making, leave = a.takeRoomHere(owner)
		return making, leave, nil
	}
	id := uuid.NewString()
	leave = func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), usualCall)
		defer cancel()
		if err := a.Records.LeaveRoom(ctx, id); err != nil {
			a.Logger.WarnContext(ctx, "the place of a workspace in the making is kept for too long", "for", roomFor, "error", err)
		}
	}
	making, err = a.Records.TakeRoom(ctx, owner, id, time.Now(), roomFor)
	if err != nil {
		leave()
	}
	return making, leave, err
}

func (a *API) takeRoomHere(owner string) (making int, leave func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.making[owner]++
	return a.making[owner], func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.making[owner]--; a.making[owner] == 0 {
			delete(a.making, owner)
		}
	}
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
