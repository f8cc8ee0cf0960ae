package queue

import (
	"maps"
	"slices"
	"strconv"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/invalid"
)

// Limits bound how many jobs of an organization run at once. Zero or absent means no limit.
type Limits struct {
	// PerTenant bounds each tenant that Tenants does not name.
	PerTenant int
	// Tenants bounds single tenants; meant for dozens, since it travels with every claim.
	Tenants map[uuid.UUID]int
	// Types bounds the jobs of a type.
	Types map[string]int
	// Classes bound the jobs of low priority together.
	Classes []Class
}

// Class bounds all running jobs with at most this priority. Priority alone decides only who goes next; it does
// not help when long jobs of low priority hold every worker already. A class keeps workers free of them.
type Class struct {
	Priority int16
	Max      int
}

// Reserve keeps slots for higher priorities: jobs with at most this priority get no more than this part of the organization's slots
// (running jobs and waiting workers, of all processes), but at least one.
type Reserve struct {
	Priority int16
	// Of is the part, above 0 and at most 1.
	Of float64
}

// Tenant returns the limit of one tenant, 0 meaning none.
func (l Limits) Tenant(id uuid.UUID) int {
	if n, ok := l.Tenants[id]; ok {
		return n
	}
	return l.PerTenant
}

// None reports whether nothing is limited.
func (l Limits) None() bool {
	return l.PerTenant == 0 && len(l.Tenants) == 0 && len(l.Types) == 0 && len(l.Classes) == 0
}

// Clone returns a copy that shares no memory with l.
func (l Limits) Clone() Limits {
	l.Tenants, l.Types, l.Classes = maps.Clone(l.Tenants), maps.Clone(l.Types), slices.Clone(l.Classes)
	return l
}

// Validate says what is wrong with the limits, as a [*invalid.Error].
func (l Limits) Validate() error {
	for id, n := range l.Tenants {
		if err := invalid.Count("Limits.Tenants["+id.String()+"]", n); err != nil {
			return err
		}
	}
	for t, n := range l.Types {
		if err := invalid.Count("Limits.Types["+t+"]", n); err != nil {
			return err
		}
	}
	for i, c := range l.Classes {
		if c.Max < 1 || c.Max > invalid.MaxCount {
			return invalid.New("Limits.Classes["+strconv.Itoa(i)+"].Max", c.Max, "must be between 1 and %d", invalid.MaxCount)
		}
	}
	return invalid.Count("Limits.PerTenant", l.PerTenant)
}

// WithReserves adds the classes that the reserves come to when an organization has so many slots.
func (l Limits) WithReserves(reserves []Reserve, slots int) Limits {
	if len(reserves) == 0 {
		return l
	}
	classes := slices.Clone(l.Classes)
	for _, r := range reserves {
		classes = append(classes, Class{Priority: r.Priority, Max: max(1, int(r.Of*float64(slots)))})
	}
	l.Classes = classes
	return l
}
