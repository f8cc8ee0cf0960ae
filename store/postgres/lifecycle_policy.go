package postgres

import (
	"sync"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// maxPolicies bounds how many decoded policies are kept; beyond it they are all forgotten and decoded again.
const maxPolicies = 4096

// policies keeps decoded policies by their text, because a page of a thousand workspaces has few different ones.
type policies struct {
	mu   sync.RWMutex
	seen map[string]lifecycle.Policy
}

func (c *policies) get(text []byte) lifecycle.Policy {
	c.mu.RLock()
	p, ok := c.seen[string(text)]
	c.mu.RUnlock()
	if ok {
		return p
	}
	if p = lifecycle.ReadPolicy(text); p.Holidays.Err() != nil {
		return p // to be tried again: it may name a time zone that this machine is about to learn
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen == nil || len(c.seen) >= maxPolicies {
		c.seen = make(map[string]lifecycle.Policy)
	}
	c.seen[string(text)] = p
	return p
}
