package memory

import "unsafe"

// arena holds short texts one behind the other: a million names in a few dozen blocks that the garbage collector does not
// look into.
type arena struct {
	chunks     [][]byte
	live, dead int // bytes
}

const arenaChunk = 1 << 16

// text is where a text is.
type text struct {
	chunk, offset, size uint32
}

func (a *arena) put(s string) text {
	if s == "" {
		return text{}
	}
	last := len(a.chunks) - 1
	if last < 0 || len(a.chunks[last])+len(s) > cap(a.chunks[last]) {
		a.chunks = append(a.chunks, make([]byte, 0, max(arenaChunk, len(s))))
		last++
	}
	t := text{uint32(last), uint32(len(a.chunks[last])), uint32(len(s))}
	a.chunks[last] = append(a.chunks[last], s...)
	a.live += len(s)
	return t
}

// get returns the text without copying it: what was written is never overwritten, and whoever keeps it keeps its chunk.
func (a *arena) get(t text) string {
	if t.size == 0 {
		return ""
	}
	return unsafe.String(&a.chunks[t.chunk][t.offset], int(t.size))
}

// forget counts a text as garbage.
func (a *arena) forget(t text) {
	a.live -= int(t.size)
	a.dead += int(t.size)
}

// wasteful reports whether most of the arena is garbage, and enough of it to matter.
func (a *arena) wasteful() bool { return a.dead > a.live && a.dead > arenaChunk }

// compactNames moves the names that are left into a new arena.
func (f *fleet) compactNames() {
	if !f.names.wasteful() {
		return
	}
	old := f.names
	f.names = arena{}
	for _, slot := range f.slots {
		r := f.rows.at(slot)
		r.name = f.names.put(old.get(r.name))
	}
}
