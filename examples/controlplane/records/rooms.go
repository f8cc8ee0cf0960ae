package records

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// Rooms are the places of an owner, which change together or not at all.
type Rooms struct {
	// Version is that of the places as they were read, 0 if there were never any.
	Version int64
	Places  []Place
}

// Place is kept for one workspace while it is being made.
type Place struct {
	ID string `json:"id"`
	// Of names the workspace that it is for: once that one is there, the place counts no longer.
	Of    string    `json:"of"`
	Since time.Time `json:"since"`
}

// Rooms returns the places of an owner.
func (d *DB) Rooms(ctx context.Context, owner string) (r Rooms, err error) {
	var places string
	ok, err := d.row(ctx, `SELECT version, places FROM plane_places WHERE owner = $1`, []any{owner}, &r.Version, &places)
	if err != nil || !ok {
		return Rooms{}, err
	}
	if err := json.Unmarshal([]byte(places), &r.Places); err != nil {
		return Rooms{}, fmt.Errorf("read the places of %q: %w", owner, err)
	}
	return r, nil
}

// PutRooms replaces the places of an owner, unless somebody has done so since the version was read: then ok is false.
//
// A row is never removed. Whoever has read that there is none must not take one that came and went for it.
func (d *DB) PutRooms(ctx context.Context, owner string, r Rooms) (ok bool, err error) {
	places, err := json.Marshal(r.Places)
	if err != nil {
		return false, err
	}
	n, err := d.exec(ctx, `INSERT INTO plane_places (owner, version, places) VALUES ($1, 1, $2)
		ON CONFLICT (owner) DO UPDATE SET version = plane_places.version + 1, places = excluded.places WHERE plane_places.version = $3`,
		owner, string(places), r.Version)
	return n == 1, err
}
