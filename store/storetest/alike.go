package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/store"
)

// alikeLength is how many calls a history has, and alikeSeeds how many histories of a kind are played. Long ones meet more of what is
// left behind by what was before.
const (
	alikeLength = 400
	alikeSeeds  = 2
)

// Alike plays random histories of calls in the store and in that of Options.Like, and compares every answer. The other tests of [Run]
// say what the rules are, one by one; this one holds what a combination of conditions comes to, which nobody writes down.
func Alike(t *testing.T, open func(*testing.T) store.Store, o Options) {
	if o.Like == nil {
		t.Skip("Options.Like names no store to compare with")
	}
	o = o.withDefaults()
	for _, c := range []struct {
		name string
		play func(*pair)
	}{
		{"jobs", alikeJobs},
		{"workspaces", alikeWorkspaces},
		{"members", alikeMembers},
	} {
		for seed := range uint64(alikeSeeds) {
			t.Run(fmt.Sprint(c.name, " ", seed), func(t *testing.T) {
				within(t, o, func(t *testing.T) {
					c.play(&pair{T: t, ctx: t.Context(), r: rand.New(rand.NewPCG(o.Seed+seed, 0)), got: open(t), want: o.Like()})
				})
			})
		}
	}
}

// pair is two stores that are to answer alike, and where the history of their calls stands.
type pair struct {
	*testing.T
	ctx       context.Context
	r         *rand.Rand
	got, want store.Store
	told      []string
}

// ask makes a call of both stores and returns the answer, which must be the same. say names the call.
func ask[A any](p *pair, say string, call func(store.Store) (A, error)) (A, error) {
	p.Helper()
	p.told = append(p.told, say)
	want, wantErr := call(p.want)
	got, err := call(p.got)
	w, g := fmt.Sprintf("%+v %s", want, refusal(wantErr)), fmt.Sprintf("%+v %s", got, refusal(err))
	if w != g {
		w, g = differing(w, g)
		p.Fatalf("broken rule: stores answer alike\n\tgot  %s (%v)\n\twant %s (%v)\n\tafter %d calls, the last of which\n\t%s", g, err, w, wantErr, len(p.told), strings.Join(p.told[max(0, len(p.told)-12):], "\n\t"))
	}
	return want, wantErr
}

// refusal is what an error says to whoever decides by it.
func refusal(err error) string {
	if err == nil {
		return ""
	}
	for _, known := range []error{
		queue.ErrLeaseLost, queue.ErrProcessLost, lifecycle.ErrStaleTemplate, lifecycle.ErrInUse, lifecycle.ErrNotFound, prewarm.ErrConflict,
	} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return "refused"
}

// differing cuts from two texts what they begin with alike, and most of what follows the difference.
func differing(a, b string) (partA, partB string) {
	i := 0
	for i < min(len(a), len(b)) && a[i] == b[i] {
		i++
	}
	cut := func(s string) string { return "..." + s[max(0, i-300):min(len(s), i+300)] + "..." }
	return cut(a), cut(b)
}

// one is true once in n times.
func (p *pair) one(n int) bool { return p.r.IntN(n) == 0 }

func (p *pair) id() (id uuid.UUID) {
	for i := range id {
		id[i] = byte(p.r.UintN(256))
	}
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return id
}

func (p *pair) ids(n int) []uuid.UUID {
	ids := make([]uuid.UUID, n)
	for i := range ids {
		ids[i] = p.id()
	}
	return ids
}

// around is an instant near another one: often before it, often after it, sometimes just beside it, sometimes itself.
func (p *pair) around(at time.Time, d time.Duration) time.Time {
	switch p.r.IntN(4) {
	case 0:
		return at.Add(time.Duration(p.r.IntN(3)-1) * time.Microsecond)
	case 1:
		d = -d
	}
	return at.Add(time.Duration(p.r.Float64() * float64(d)).Truncate(time.Microsecond))
}

func anyOf[T any](p *pair, all []T) T { return all[p.r.IntN(len(all))] }

// someOf returns up to n of all, none twice, in any order. It is never nil, which means no restriction to most queries.
func someOf[T any](p *pair, all []T, n int) []T {
	some := []T{}
	for _, i := range p.r.Perm(len(all))[:min(n, len(all))] {
		some = append(some, all[i])
	}
	return some
}

// play makes moves until the history is long enough.
func play[P any](p *pair, of P, moves []func(P)) {
	for len(p.told) < alikeLength {
		anyOf(p, moves)(of)
	}
}
