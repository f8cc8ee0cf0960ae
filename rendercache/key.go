package rendercache

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"sync"

	"github.com/google/uuid"
)

// Key identifies what a render depends on.
type Key struct {
	// Version is the template version. It is unique among all templates, so neither template nor name is part of
	// the key.
	Version uuid.UUID
	// Owner is the user whose data the render may read.
	Owner uuid.UUID
	// Params stands for the parameters.
	Params Digest
}

// KeyOf returns the key of a version, an owner and parameters. It costs as much as [DigestOf] and does not allocate;
// compute a key once where it is used often.
func KeyOf(version, owner uuid.UUID, params map[string]string) Key {
	return Key{Version: version, Owner: owner, Params: DigestOf(params)}
}

func (k Key) groups() (version, owner uuid.UUID) { return k.Version, k.Owner }

// Digest stands for a set of parameters: SHA-256 of an encoding that no two sets share. It is the same in every
// process, so it can be logged and compared.
type Digest [sha256.Size]byte

// String returns the digest in hexadecimal.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// DigestOf returns the digest of parameters; nil and empty are the same, and the order of a map does not matter. The
// encoding is the count and then, sorted by name, each name and value after its length: a separator could be part of a
// value, a length cannot. O(n log n) comparisons and O(bytes) hashing, no allocation.
func DigestOf(params map[string]string) Digest {
	enc := encoders.Get().(*encoder)
	defer enc.release()
	for name, value := range params {
		enc.pairs = append(enc.pairs, pair{name, value})
	}
	slices.SortFunc(enc.pairs, comparePairs)
	buf := binary.BigEndian.AppendUint64(enc.buf, uint64(len(enc.pairs)))
	for i := range enc.pairs {
		buf = appendText(buf, enc.pairs[i].name)
		buf = appendText(buf, enc.pairs[i].value)
	}
	enc.buf = buf
	return sha256.Sum256(buf)
}

func appendText(buf []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint64(buf, uint64(len(s))), s...)
}

type pair struct{ name, value string }

func comparePairs(a, b pair) int {
	if a.name < b.name {
		return -1
	}
	return 1 // names of a map are never equal
}

// encoder is the scratch space of one DigestOf.
type encoder struct {
	pairs []pair
	buf   []byte
}

// encoders is stateless scratch space, not configuration: sharing it between caches is what makes it work.
var encoders = sync.Pool{New: func() any { return new(encoder) }}

// largestScratch bounds what one unusually large map leaves behind in the pool.
const largestScratch = 64 << 10

// release wipes the scratch space, since values may be secrets, and gives it back.
func (e *encoder) release() {
	clear(e.pairs)
	clear(e.buf)
	e.pairs, e.buf = e.pairs[:0], e.buf[:0]
	if cap(e.buf) <= largestScratch && cap(e.pairs) <= largestScratch/32 {
		encoders.Put(e)
	}
}
