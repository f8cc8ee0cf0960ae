// Package auth knows who asks: by a bearer token for the API and for workers, and by the same token in a cookie for the pages.
//
// A token is "plane_", a public part by which it is found, and a secret of which only the SHA-256 is kept. The hash is compared in
// constant time, and a token that is not there is compared too. A token is shown once, when it is made.
package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/examples/controlplane/records"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// Kind is what somebody may do.
type Kind string

// The kinds. An admin operates the control plane, an owner has workspaces, a worker carries builds out.
const (
	Admin  Kind = "admin"
	Owner  Kind = "owner"
	Worker Kind = "worker"
)

// Identity is who asks.
type Identity struct {
	// Token is the public part of their token.
	Token string
	Kind  Kind
	// Name is that of the owner or worker, or of the admin.
	Name string
	// Work is what a worker may be used for.
	Work Work
	// CreatedAt is when the token was made.
	CreatedAt time.Time
}

// Work is the registration of a worker. What it says of itself does not count.
type Work struct {
	Tags  map[string]string `json:"tags,omitempty"`
	Slots int               `json:"slots"`
	// Elastic workers come and go with the builds that wait; Machine is the one that it was given to.
	Elastic bool   `json:"elastic,omitempty"`
	Machine string `json:"machine,omitempty"`
}

// Remote is a worker as the hand-off knows it.
func (i Identity) Remote() acquirer.Identity {
	tags := i.Work.Tags
	if tags == nil {
		tags = map[string]string{} // none, whatever it says
	}
	return acquirer.Identity{
		Worker: uuid.NewSHA1(uuid.Nil, []byte(i.Token)), Slots: i.Work.Slots, Types: []string{lifecycle.JobType}, Tags: tags,
	}
}

// Keeper makes tokens and finds who they belong to.
type Keeper struct{ db *records.DB }

// NewKeeper returns a keeper over the tables.
func NewKeeper(db *records.DB) *Keeper { return &Keeper{db} }

// ErrUnknown says that a token is not valid. It does not say why.
var ErrUnknown = errors.New("no valid token")

// Prefix is what every token begins with.
const Prefix = "plane_"

// Issue makes a token.
func (k *Keeper) Issue(ctx context.Context, kind Kind, name string, work Work) (id, token string, err error) {
	detail, err := json.Marshal(work)
	if err != nil {
		return "", "", err
	}
	id = strings.ToLower(rand.Text()[:12])
	token, hash := secret(id)
	err = k.db.PutToken(ctx, records.Token{
		ID: id, Hash: hash, Kind: string(kind), Name: name, Detail: string(detail), CreatedAt: time.Now(),
	})
	return id, token, err
}

// Renew gives a token that nobody has been told yet another secret.
func (k *Keeper) Renew(ctx context.Context, id string) (token string, err error) {
	token, hash := secret(id)
	return token, k.db.SetTokenHash(ctx, id, hash)
}

func secret(id string) (token string, hash []byte) {
	text := rand.Text() + rand.Text()
	sum := sha256.Sum256([]byte(text))
	return Prefix + id + "_" + text, sum[:]
}

// Of returns whose token it is, or ErrUnknown.
func (k *Keeper) Of(ctx context.Context, token string) (Identity, error) {
	id, text, formed := split(token)
	if !formed {
		return Identity{}, ErrUnknown
	}
	t, ok, err := k.db.Token(ctx, id)
	if err != nil {
		return Identity{}, fmt.Errorf("look up a token: %w", errors.Join(err, lifecycle.ErrUnavailable))
	}
	sum := sha256.Sum256([]byte(text))
	kept := t.Hash
	if !ok {
		kept = make([]byte, sha256.Size)
	}
	if subtle.ConstantTimeCompare(sum[:], kept) != 1 || !ok {
		return Identity{}, ErrUnknown
	}
	return identityOf(t)
}

// Formed reports whether a text has the form of a token, which says nothing of whether it is one.
func Formed(token string) bool {
	_, _, formed := split(token)
	return formed
}

// split takes a token apart into its public part and its secret.
func split(token string) (id, text string, formed bool) {
	rest, ok := strings.CutPrefix(token, Prefix)
	id, text, found := strings.Cut(rest, "_")
	return id, text, ok && found && text != "" && len(token) <= 128 && isID(id)
}

// isID reports whether a text may be the public part of a token. Nothing else is asked of the database: there are bytes that it takes
// for an error of its own.
func isID(id string) bool {
	return id != "" && strings.Trim(id, "abcdefghijklmnopqrstuvwxyz0123456789") == ""
}

func identityOf(t records.Token) (i Identity, err error) {
	i = Identity{Token: t.ID, Kind: Kind(t.Kind), Name: t.Name, CreatedAt: t.CreatedAt}
	err = json.Unmarshal([]byte(t.Detail), &i.Work)
	return i, err
}

// List returns who has a valid token of a kind.
func (k *Keeper) List(ctx context.Context, kind Kind) ([]Identity, error) {
	tokens, err := k.db.Tokens(ctx, string(kind))
	list := make([]Identity, len(tokens))
	for i, t := range tokens {
		if list[i], err = identityOf(t); err != nil {
			break
		}
	}
	return list, err
}

// End makes a token invalid.
func (k *Keeper) End(ctx context.Context, id string) (was bool, err error) {
	if !isID(id) {
		return false, nil
	}
	return k.db.EndToken(ctx, id, time.Now())
}

// Machine returns where an elastic worker is; ok is false for every other token.
func (k *Keeper) Machine(ctx context.Context, id string) (machine string, ok bool, err error) {
	if !isID(id) {
		return "", false, nil
	}
	t, ok, err := k.db.Token(ctx, id)
	if err != nil || !ok {
		return "", false, err
	}
	i, err := identityOf(t)
	return i.Work.Machine, err == nil && i.Kind == Worker && i.Work.Elastic, err
}

// Assign says on which machine an elastic worker runs. It is true if it is there or was nowhere before.
func (k *Keeper) Assign(ctx context.Context, id, machine string) (bool, error) {
	t, ok, err := k.db.Token(ctx, id)
	if err != nil || !ok {
		return false, err
	}
	i, err := identityOf(t)
	switch {
	case err != nil:
		return false, err
	case i.Work.Machine == machine:
		return true, nil
	case i.Work.Machine != "" && machine != "":
		return false, nil
	}
	i.Work.Machine = machine
	after, err := json.Marshal(i.Work)
	if err != nil {
		return false, err
	}
	return k.db.SetTokenDetail(ctx, id, t.Detail, string(after))
}

// Cookie is the name of the cookie in which a browser keeps its token.
const Cookie = "plane_token"

// Bearer is the token that a request of a program brings, "" if it has none.
func Bearer(r *http.Request) string {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return token
}

// Session is the token that a browser brings, "" if it has none.
func Session(r *http.Request) string {
	c, err := r.Cookie(Cookie)
	if err != nil {
		return ""
	}
	return c.Value
}
