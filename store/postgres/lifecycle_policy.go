package postgres

import (
	"sync"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// maxDecoded bounds how many decoded texts of a kind are kept; beyond it they are all forgotten and decoded again.
const maxDecoded = 4096

// decoded keeps values by the text that they were decoded from, because a page of a thousand workspaces has few different
// ones.
type decoded[V any] struct {
	mu   sync.RWMutex
	seen map[string]V
}

// of returns the value of a text; keep is false for one that is to be decoded again.
func (c *decoded[V]) of(text []byte, decode func([]byte) (v V, keep bool)) V {
	c.mu.RLock()
	v, ok := c.seen[string(text)]
	c.mu.RUnlock()
	if ok {
		return v
	}
	v, keep := decode(text)
	if !keep {
		return v
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen == nil || len(c.seen) >= maxDecoded {
		c.seen = make(map[string]V)
	}
	c.seen[string(text)] = v
	return v
}

// policies decodes policies.
type policies struct{ decoded[lifecycle.Policy] }

func (c *policies) get(text []byte) lifecycle.Policy {
	return c.of(text, func(text []byte) (lifecycle.Policy, bool) {
		p := lifecycle.ReadPolicy(text)
		return p, p.Holidays.Err() == nil // else it may name a time zone that this machine is about to learn
	})
}

// templateStates decodes what a template is beyond its columns.
type templateStates struct{ decoded[lifecycle.Template] }

// into adds it to a template whose columns were read, and whose memory may hold another one's state.
func (c *templateStates) into(t *lifecycle.Template, text []byte) {
	columns := *t
	*t = c.of(text, func(text []byte) (state lifecycle.Template, keep bool) {
		state.ReadState(text)
		return state, true
	})
	t.ID, t.OrganizationID, t.Name, t.ActiveVersionID = columns.ID, columns.OrganizationID, columns.Name, columns.ActiveVersionID
	t.Revision, t.Rules, t.Policy = columns.Revision, columns.Rules, columns.Policy
}

// engines decodes what concerns all workspaces; there is one at a time.
type engines struct{ decoded[lifecycle.Engine] }

func (c *engines) get(text []byte) lifecycle.Engine {
	return c.of(text, func(text []byte) (lifecycle.Engine, bool) { return lifecycle.ReadEngine(text), true })
}
