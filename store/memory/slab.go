package memory

// slab holds records in chunks that never move, so that growing copies nothing.
type slab[R any] struct {
	chunks [][]R
	free   []uint32
	next   uint32
}

const chunkSize = 1 << 12

func newSlab[R any]() slab[R] { return slab[R]{next: 1} }

func (s *slab[R]) at(slot uint32) *R { return &s.chunks[slot/chunkSize][slot%chunkSize] }

// add returns the slot of a zero record.
func (s *slab[R]) add() uint32 {
	if n := len(s.free); n > 0 {
		slot := s.free[n-1]
		s.free = s.free[:n-1]
		return slot
	}
	slot := s.next
	s.next++
	if int(slot/chunkSize) == len(s.chunks) {
		s.chunks = append(s.chunks, make([]R, chunkSize))
	}
	return slot
}

func (s *slab[R]) remove(slot uint32) {
	*s.at(slot) = *new(R)
	s.free = append(s.free, slot)
}
