package acquirer

import (
	"maps"
	"slices"
	"sync"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// maxDomainsKept is how many requests' domains are kept: a process has few kinds of workers, and each asks with the same words.
const maxDomainsKept = 16

// domains keeps the domains of the last different requests: what a worker says of itself is validated, sorted and brought into
// canonical form once, not for each job.
type domains struct {
	mu   sync.RWMutex
	kept []keptDomain
	next int
}

type keptDomain struct {
	request queue.Request
	domain  queue.Domain
}

// of is [queue.Request.Domain].
func (d *domains) of(r queue.Request) (queue.Domain, error) {
	d.mu.RLock()
	for i := range d.kept {
		if k := &d.kept[i]; k.is(r) {
			domain := k.domain
			d.mu.RUnlock()
			return domain, nil
		}
	}
	d.mu.RUnlock()
	domain, err := r.Domain()
	if err != nil {
		return queue.Domain{}, err
	}
	d.keep(keptDomain{queue.Request{
		Organization: r.Organization, Types: slices.Clone(r.Types), Tags: maps.Clone(r.Tags), Silence: r.Silence,
	}, domain})
	return domain, nil
}

func (d *domains) keep(k keptDomain) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.kept) < maxDomainsKept {
		d.kept = append(d.kept, k)
		return
	}
	d.kept[d.next] = k
	d.next = (d.next + 1) % maxDomainsKept
}

// is reports whether a request says the same, whoever its worker is.
func (k *keptDomain) is(r queue.Request) bool {
	return k.request.Organization == r.Organization && k.request.Silence == r.Silence &&
		slices.Equal(k.request.Types, r.Types) && maps.Equal(k.request.Tags, r.Tags)
}
