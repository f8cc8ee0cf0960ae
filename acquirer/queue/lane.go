package queue

import (
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/invalid"
)

// Limits of types.
const (
	MaxTypeBytes = 128
	MaxTypes     = 64
)

// Lane is where a ready job waits: jobs of one lane differ in nothing that decides who may run them or which
// goes first, except their order number. A lane is a prefix of a store's ready index, and the unit of waking.
type Lane struct {
	Organization uuid.UUID
	Type         string
	Tags         TagSet
	// Priority: higher goes first.
	Priority int16
}

// Domain is the set of workers who could run exactly the same jobs.
type Domain struct {
	Organization uuid.UUID
	// Types are sorted and without doubles.
	Types []string
	Tags  TagSet
}

// NewDomain validates its arguments and brings them into canonical form; it does not keep them.
func NewDomain(organization uuid.UUID, types []string, tags map[string]string) (Domain, error) {
	if len(types) == 0 || len(types) > MaxTypes {
		return Domain{}, invalid.New("types", len(types), "must be between 1 and %d types", MaxTypes)
	}
	for _, t := range types {
		if err := validateType("types", t); err != nil {
			return Domain{}, err
		}
	}
	set, err := NewTagSet(tags)
	if err != nil {
		return Domain{}, err
	}
	sorted := slices.Compact(slices.Sorted(slices.Values(types)))
	return Domain{Organization: organization, Types: sorted, Tags: set}, nil
}

// ValidateType says what is wrong with a job type, as a [*invalid.Error].
func ValidateType(t string) error { return validateType("type", t) }

func validateType(field, t string) error {
	switch {
	case t == "":
		return invalid.New(field, t, "must not be empty")
	case len(t) > MaxTypeBytes:
		return invalid.New(field, t, "must be at most %d bytes", MaxTypeBytes)
	case !isText(t):
		return invalid.New(field, t, "must be UTF-8 without control characters")
	}
	return nil
}

// Key names the domain: equal for equal domains, different for different ones, whatever the types and tags
// hold, because every part is preceded by its length.
func (d Domain) Key() string {
	var b strings.Builder
	b.Write(d.Organization[:])
	b.WriteString(strconv.Itoa(len(d.Types)))
	b.WriteByte(';')
	for _, t := range d.Types {
		writeNetstring(&b, t)
	}
	b.WriteString(d.Tags.canon)
	return b.String()
}

// Runs reports whether a worker of the domain may run the jobs of a lane.
func (d Domain) Runs(l Lane) bool {
	return d.Organization == l.Organization && d.runsType(l.Type) && Compare(d.Tags, l.Tags).None()
}

// Mismatch says what keeps the domain's workers from the jobs of a lane of their organization.
func (d Domain) Mismatch(l Lane) Mismatch {
	m := Compare(d.Tags, l.Tags)
	if !d.runsType(l.Type) {
		m.OtherTypes = d.Types
	}
	return m
}

func (d Domain) runsType(t string) bool {
	_, found := slices.BinarySearch(d.Types, t)
	return found
}
