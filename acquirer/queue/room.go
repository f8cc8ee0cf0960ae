package queue

import (
	"iter"
	"maps"

	"github.com/google/uuid"
)

// Room counts the running jobs of one organization in the ways that [Limits] ask for, and says whether there is room for
// one more. Every store decides with it, so that none can count otherwise. The zero value counts nothing yet. It is not
// safe for concurrent use.
type Room struct {
	tenants    map[uuid.UUID]int
	types      map[string]int
	priorities map[int16]int
}

// Add counts n more running jobs of a tenant; of the lane, type and priority are read. A negative n counts jobs that
// ended.
func (r *Room) Add(l Lane, tenant uuid.UUID, n int) {
	if r.tenants == nil {
		r.tenants, r.types, r.priorities = map[uuid.UUID]int{}, map[string]int{}, map[int16]int{}
	}
	add(r.tenants, tenant, n)
	add(r.types, l.Type, n)
	add(r.priorities, l.Priority, n)
}

// add keeps no zeros, so that the maps do not grow with everybody who ever ran a job.
func add[K comparable](counts map[K]int, key K, n int) {
	if counts[key] += n; counts[key] == 0 {
		delete(counts, key)
	}
}

// LaneFull reports whether a limit stops every job of a lane: that of its type, or of a class. It costs the number of
// classes times that of priorities with running jobs.
func (r *Room) LaneFull(limits Limits, l Lane) bool {
	if most := limits.Types[l.Type]; most > 0 && r.types[l.Type] >= most {
		return true
	}
	for _, class := range limits.Classes {
		if l.Priority <= class.Priority && r.upTo(class.Priority) >= class.Max {
			return true
		}
	}
	return false
}

func (r *Room) upTo(priority int16) (n int) {
	for p, running := range r.priorities {
		if p <= priority {
			n += running
		}
	}
	return n
}

// TenantFull reports whether its own limit stops every job of a tenant.
func (r *Room) TenantFull(limits Limits, tenant uuid.UUID) bool {
	most := limits.Tenant(tenant)
	return most > 0 && r.tenants[tenant] >= most
}

// FullTenants are the tenants with running jobs of which [Room.TenantFull] is true, in no particular order.
func (r *Room) FullTenants(limits Limits) (full []uuid.UUID) {
	for tenant := range r.tenants {
		if r.TenantFull(limits, tenant) {
			full = append(full, tenant)
		}
	}
	return full
}

// Types are the numbers of running jobs by type, without zeros.
func (r *Room) Types() iter.Seq2[string, int] { return maps.All(r.types) }
