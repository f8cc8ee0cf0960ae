// Package tagindex finds which domains may run a lane, and which lanes a domain may run, without comparing each with each. It
// narrows by one tag; who asks compares the candidates with queue.Domain.Runs. It is not safe for concurrent use.
package tagindex

import (
	"iter"
	"maps"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// key is a tag in an organization. The zero tag stands for those without any: only they run what has none.
type key struct {
	organization uuid.UUID
	tag          queue.Tag
}

// lists are sets of values by key.
type lists[T comparable] map[key]map[T]struct{}

func (l lists[T]) add(k key, v T) {
	set, ok := l[k]
	if !ok {
		set = make(map[T]struct{})
		l[k] = set
	}
	set[v] = struct{}{}
}

func (l lists[T]) remove(k key, v T) {
	if delete(l[k], v); len(l[k]) == 0 {
		delete(l, k)
	}
}

// keys are those of an organization's tag set, at least one.
func keys(organization uuid.UUID, set queue.TagSet) []key {
	if set.Untagged() {
		return []key{{organization: organization}}
	}
	var list []key
	for _, tag := range set.Tags() {
		list = append(list, key{organization, tag})
	}
	return list
}

// shortest is the key with the fewest values.
func (l lists[T]) shortest(list []key) key {
	best := list[0]
	for _, k := range list[1:] {
		if len(l[k]) < len(l[best]) {
			best = k
		}
	}
	return best
}

// Domains finds domains by what they can run. A value stands under each tag of its domain, so a lane is looked up under the
// rarest of its own. The zero value is empty.
type Domains[T comparable] struct{ lists lists[T] }

// Add adds a value for a domain.
func (x *Domains[T]) Add(d queue.Domain, v T) {
	if x.lists == nil {
		x.lists = make(lists[T])
	}
	for _, k := range keys(d.Organization, d.Tags) {
		x.lists.add(k, v)
	}
}

// Remove takes out a value that was added for a domain.
func (x *Domains[T]) Remove(d queue.Domain, v T) {
	for _, k := range keys(d.Organization, d.Tags) {
		x.lists.remove(k, v)
	}
}

// Candidates yields the values of all domains that can run a lane, and of others, in no particular order.
func (x *Domains[T]) Candidates(l queue.Lane) iter.Seq[T] {
	return maps.Keys(x.lists[x.lists.shortest(keys(l.Organization, l.Tags))])
}

// Lanes finds lanes by who can run them. A value stands under one tag of its lane, which was the rarest when it came; a domain
// is looked up under each of its own. The zero value is empty.
type Lanes[T comparable] struct {
	lists lists[T]
	under map[T]key
}

// Add adds a value for a lane.
func (x *Lanes[T]) Add(l queue.Lane, v T) {
	if x.lists == nil {
		x.lists, x.under = make(lists[T]), make(map[T]key)
	}
	k := x.lists.shortest(keys(l.Organization, l.Tags))
	x.lists.add(k, v)
	x.under[v] = k
}

// Remove takes out a value.
func (x *Lanes[T]) Remove(v T) {
	x.lists.remove(x.under[v], v)
	delete(x.under, v)
}

// Candidates yields the values of all lanes that a domain can run, and of others, in no particular order.
func (x *Lanes[T]) Candidates(d queue.Domain) iter.Seq[T] {
	return func(yield func(T) bool) {
		for _, k := range keys(d.Organization, d.Tags) {
			for v := range x.lists[k] {
				if !yield(v) {
					return
				}
			}
		}
	}
}
