package rendercache

import (
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"
)

// MissCause says why a key was not found.
type MissCause uint8

const (
	// MissNone: there was no miss.
	MissNone MissCause = iota
	// MissFirst: the key is new, or was seen so long ago that nothing of it is remembered.
	MissFirst
	// MissExpired: its entry was not used for TTL or has reached MaxAge.
	MissExpired
	// MissEvicted: its entry was evicted to make room for others.
	MissEvicted
	// MissInvalidated: its entry was invalidated, by key, version, owner or Clear.
	MissInvalidated
	// MissNotKept: nothing was kept of its last render, which failed, was incomplete, was canceled, or was too heavy.
	MissNotKept
	// MissParameters: the same version and owner was rendered recently with other parameters.
	MissParameters

	missCauses = iota
)

// String returns the cause as it stands in metrics and logs.
func (c MissCause) String() string {
	return name(c, "none", "first", "expired", "evicted", "invalidated", "not_kept", "parameters")
}

// Miss explains why a key was not found.
type Miss struct {
	// Cause is the kind of miss.
	Cause MissCause
	// Names are the parameters, sorted, whose values differ from those of the last key of the same version and owner, or
	// that only one of the two has. Set with MissParameters, if both requests had Params.
	Names []string
}

// recentCauses remembers why keys have left. It is a direct-mapped table of the key's hash with the cause in its lowest bits:
// a later key may overwrite an earlier, which then looks new. 16 KiB, no lock.
type recentCauses struct{ slots [2048]atomic.Uint64 }

const causeBits = 3

func (g *recentCauses) slot(hash uint64) *atomic.Uint64 {
	return &g.slots[hash>>causeBits%uint64(len(g.slots))]
}

func (g *recentCauses) remember(hash uint64, why MissCause) {
	g.slot(hash).Store(hash>>causeBits<<causeBits | uint64(why))
}

func (g *recentCauses) recall(hash uint64) MissCause {
	word := g.slot(hash).Load()
	if word == 0 || word>>causeBits != hash>>causeBits {
		return MissNone
	}
	return MissCause(word & (1<<causeBits - 1))
}

const (
	sampledVersions  = 256
	samplesByVersion = 4
)

// samples keeps a few of the last missed keys of each version, to say which parameters differ between them. It is
// touched on misses only.
type samples struct {
	mu       sync.Mutex
	seed     maphash.Seed
	versions map[uuid.UUID]*versionSamples
	// ids of versions, in the order in which they came: the oldest gives way.
	ids  [sampledVersions]uuid.UUID
	next int
}

type versionSamples struct {
	recent [samplesByVersion]sample
	next   int
}

// sample is one missed key. Values are kept as seeded hashes: equal or not is all that is asked, and secrets stay out.
type sample struct {
	owner  uuid.UUID
	hash   uint64
	values map[string]uint64
}

func (s *samples) init() {
	s.seed, s.versions = maphash.MakeSeed(), make(map[uuid.UUID]*versionSamples)
}

// record notes a missed key. It reports whether the last one of the same version and owner had other parameters, and
// which.
func (s *samples) record(version, owner uuid.UUID, hash uint64, params map[string]string) (similar bool, names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.version(version)
	now := sample{owner: owner, hash: hash, values: s.fingerprint(params)}
	last, known := v.last(owner)
	v.recent[v.next%samplesByVersion] = now
	v.next++
	if !known || last.hash == hash {
		return false, nil
	}
	return true, differences(last.values, now.values)
}

// version returns the samples of a version; when there are too many versions, the one that came first is forgotten.
func (s *samples) version(id uuid.UUID) *versionSamples {
	if v, ok := s.versions[id]; ok {
		return v
	}
	place := &s.ids[s.next%sampledVersions]
	if s.next >= sampledVersions {
		delete(s.versions, *place)
	}
	s.next++
	v := new(versionSamples)
	s.versions[id], *place = v, id
	return v
}

// last returns a copy of the newest sample of an owner: the next one may take its place.
func (v *versionSamples) last(owner uuid.UUID) (_ sample, known bool) {
	for i := v.next - 1; i >= max(0, v.next-samplesByVersion); i-- {
		if s := &v.recent[i%samplesByVersion]; s.owner == owner {
			return *s, true
		}
	}
	return sample{}, false
}

func (s *samples) fingerprint(params map[string]string) map[string]uint64 {
	if params == nil {
		return nil
	}
	values := make(map[string]uint64, len(params))
	for name, value := range params {
		values[strings.Clone(name)] = maphash.String(s.seed, value)
	}
	return values
}

// differences returns the sorted names that differ; none when one of the two is not known.
func differences(a, b map[string]uint64) []string {
	if a == nil || b == nil {
		return nil
	}
	var names []string
	for name, value := range a {
		if other, ok := b[name]; !ok || other != value {
			names = append(names, name)
		}
	}
	for name := range b {
		if _, ok := a[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
