package records

import (
	"context"
	"crypto/sha256"
	"encoding/json"

	"github.com/google/uuid"
)

// Version is what a template's workspaces are made of: who provides them, from what, and which workers can. It never changes;
// another content is another version.
type Version struct {
	Template    string            `json:"template"`
	Provisioner string            `json:"provisioner"`
	Source      string            `json:"source,omitempty"`
	Tags        map[string]string `json:"tags,omitempty"`
}

// ID is derived from the content, so that putting the same twice is one version.
func (v Version) ID() uuid.UUID {
	text, _ := json.Marshal(v) // it cannot fail: maps are written in the order of their keys
	sum := sha256.Sum256(text)
	return uuid.NewSHA1(uuid.Nil, sum[:])
}

// PutVersion keeps a version and returns its id.
func (d *DB) PutVersion(ctx context.Context, v Version) (uuid.UUID, error) {
	tags, err := json.Marshal(v.Tags)
	if err != nil {
		return uuid.Nil, err
	}
	id := v.ID()
	_, err = d.exec(ctx, `INSERT INTO plane_versions (id, template, provisioner, source, tags) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO NOTHING`,
		id.String(), v.Template, v.Provisioner, v.Source, string(tags))
	return id, err
}

// Version returns a version.
func (d *DB) Version(ctx context.Context, id uuid.UUID) (v Version, ok bool, err error) {
	var tags string
	ok, err = d.row(ctx, `SELECT template, provisioner, source, tags FROM plane_versions WHERE id = $1`, []any{id.String()},
		&v.Template, &v.Provisioner, &v.Source, &tags)
	if ok {
		err = json.Unmarshal([]byte(tags), &v.Tags)
	}
	return v, ok, err
}
