package memory

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/google/uuid"
)

// order is a sorted sequence of slots in blocks, by key. Inserting and removing cost a binary search and a move within one
// block, reading on from a place a binary search. It holds no pointers but those of its blocks.
type order struct {
	blocks [][]entry
}

// blockSize is the size at which a block is split: moving half of it costs about as much as finding it.
const blockSize = 256

// entry is a slot and the key it is ordered by: an instant, then an id.
type entry struct {
	at     int64
	hi, lo uint64
	slot   uint32
}

func entryOf(at int64, id uuid.UUID, slot uint32) entry {
	return entry{at: at, hi: binary.BigEndian.Uint64(id[:8]), lo: binary.BigEndian.Uint64(id[8:]), slot: slot}
}

func compare(a, b entry) int {
	if c := cmp.Compare(a.at, b.at); c != 0 {
		return c
	}
	if c := cmp.Compare(a.hi, b.hi); c != 0 {
		return c
	}
	return cmp.Compare(a.lo, b.lo)
}

// block returns the first block whose last entry is not before e, or the number of blocks.
func (o *order) block(e entry) int {
	i, _ := slices.BinarySearchFunc(o.blocks, e, func(b []entry, e entry) int { return compare(b[len(b)-1], e) })
	return i
}

// insert adds an entry whose key is not there yet.
func (o *order) insert(e entry) {
	i := o.block(e)
	if i == len(o.blocks) {
		if i == 0 {
			o.blocks = append(o.blocks, append(make([]entry, 0, blockSize), e))
			return
		}
		i--
	}
	at, _ := slices.BinarySearchFunc(o.blocks[i], e, compare)
	o.blocks[i] = slices.Insert(o.blocks[i], at, e)
	if len(o.blocks[i]) == blockSize {
		o.split(i, at)
	}
}

// split makes room in a full block: in the middle, but at the end if entries arrive in order, so that blocks stay full.
func (o *order) split(i, at int) {
	b := o.blocks[i]
	cut := blockSize / 2
	if at == blockSize-1 {
		cut = blockSize - 1
	}
	right := append(make([]entry, 0, blockSize), b[cut:]...)
	o.blocks[i] = b[:cut]
	o.blocks = slices.Insert(o.blocks, i+1, right)
}

// remove deletes the entry with this key.
func (o *order) remove(e entry) {
	i := o.block(e)
	if i == len(o.blocks) {
		return
	}
	at, found := slices.BinarySearchFunc(o.blocks[i], e, compare)
	if !found {
		return
	}
	if at == 0 {
		o.blocks[i] = o.blocks[i][1:] // what is taken in order moves nothing
	} else {
		o.blocks[i] = slices.Delete(o.blocks[i], at, at+1)
	}
	if len(o.blocks[i]) == 0 {
		o.blocks = slices.Delete(o.blocks, i, i+1)
	}
}

// after calls yield for each entry behind a key, in order, until it returns false.
func (o *order) after(e entry, yield func(entry) bool) {
	first := o.block(e)
	for i := first; i < len(o.blocks); i++ {
		from := 0
		if i == first {
			at, found := slices.BinarySearchFunc(o.blocks[i], e, compare)
			if from = at; found {
				from++
			}
		}
		for _, next := range o.blocks[i][from:] {
			if !yield(next) {
				return
			}
		}
	}
}

// size is the number of entries.
func (o *order) size() (n int) {
	for _, b := range o.blocks {
		n += len(b)
	}
	return n
}
