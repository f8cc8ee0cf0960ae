package memory

import (
	"context"
	"sync"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store"
	"github.com/dormouse-go/dormouse/store/wake"
)

var (
	_ store.Store       = (*Store)(nil)
	_ lifecycle.Watcher = (*Store)(nil)
)

// jobQueue is [Jobs] under a name that leaves its method Jobs visible when it is embedded.
type jobQueue = Jobs

// memberStore is [Members] likewise.
type memberStore = Members

// Store keeps workspaces, builds, events and jobs in memory. Use [New]. It is safe for concurrent use.
type Store struct {
	*jobQueue
	*memberStore

	mu        sync.RWMutex
	engine    lifecycle.Engine
	ticking   ticking
	zones     map[string]int64 // fingerprints by name
	templates table[template]
	owners    table[owner]
	fleet     fleet
	outbox    outbox
	watchers  wake.Watchers
}

// New returns an empty store.
func New() *Store {
	return &Store{
		jobQueue: NewJobs(), memberStore: NewMembers(), zones: map[string]int64{},
		templates: newTable[template](),
		owners:    newTable[owner](),
		fleet:     newFleet(),
		outbox:    newOutbox(),
	}
}

// Migrate implements [store.Store]; there is nothing to do.
func (s *Store) Migrate(ctx context.Context) error { return ctx.Err() }

// table keeps values by id in slots that never move.
type table[V any] struct {
	slots map[uuid.UUID]uint32
	rows  []V
}

func newTable[V any]() table[V] { return table[V]{slots: map[uuid.UUID]uint32{}} }

func (t *table[V]) get(id uuid.UUID) (*V, bool) {
	slot, ok := t.slots[id]
	if !ok {
		return nil, false
	}
	return &t.rows[slot], true
}

// put returns the row of an id, a new one if there is none yet.
func (t *table[V]) put(id uuid.UUID) *V {
	if row, ok := t.get(id); ok {
		return row
	}
	t.slots[id] = uint32(len(t.rows))
	t.rows = append(t.rows, *new(V))
	return &t.rows[len(t.rows)-1]
}

// template is a row of the templates; there are few.
type template struct {
	lifecycle.Template
	members chain
}

// owner is a row of the owners, without more pointers than its name and a schedule that many share.
type owner struct {
	lifecycle.Owner
	members chain
}
