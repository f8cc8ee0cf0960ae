package memory

// placed is something that knows its place in a heap, so that it can be moved or taken out from the middle.
type placed interface{ setPlace(i int) }

// minHeap is a heap for package container/heap, the first by before on top. Outside, a place is -1.
type minHeap[T placed] struct {
	items  []T
	before func(a, b T) bool
}

func newHeap[T placed](before func(a, b T) bool) *minHeap[T] { return &minHeap[T]{before: before} }

func (h *minHeap[T]) Len() int           { return len(h.items) }
func (h *minHeap[T]) Less(i, k int) bool { return h.before(h.items[i], h.items[k]) }

func (h *minHeap[T]) Swap(i, k int) {
	h.items[i], h.items[k] = h.items[k], h.items[i]
	h.items[i].setPlace(i)
	h.items[k].setPlace(k)
}

func (h *minHeap[T]) Push(x any) {
	item := x.(T)
	item.setPlace(len(h.items))
	h.items = append(h.items, item)
}

func (h *minHeap[T]) Pop() any {
	last := len(h.items) - 1
	item := h.items[last]
	h.items[last] = *new(T)
	h.items = h.items[:last]
	item.setPlace(-1)
	return item
}
