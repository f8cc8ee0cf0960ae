package workerpool

import "slices"

// rooms are workers by what they have left, the tightest first.
type rooms struct {
	list        []*room
	byResources map[Resources]*room
}

type room struct {
	free    Resources
	workers []int // a stack
}

func (r *rooms) add(free Resources, w int) {
	if free.Slots <= 0 {
		return
	}
	b, ok := r.byResources[free]
	if !ok {
		if r.byResources == nil {
			r.byResources = make(map[Resources]*room)
		}
		b = &room{free: free}
		r.byResources[free] = b
		i, _ := slices.BinarySearchFunc(r.list, free, func(b *room, f Resources) int { return b.free.compare(f) })
		r.list = slices.Insert(r.list, i, b)
	}
	b.workers = append(b.workers, w)
}

// take finds the tightest room for a need and returns its worker, whose room is smaller then.
func (r *rooms) take(need Resources) (int, bool) {
	for i, b := range r.list {
		if len(b.workers) == 0 || !need.Fit(b.free) {
			continue
		}
		last := len(b.workers) - 1
		w := b.workers[last]
		b.workers = b.workers[:last]
		if last == 0 {
			r.list = slices.Delete(r.list, i, i+1)
			delete(r.byResources, b.free)
		}
		r.add(b.free.Minus(need), w)
		return w, true
	}
	return 0, false
}

// insertRoom keeps the order from the tightest to the widest.
func insertRoom(order []*list, b *list) []*list {
	i, _ := slices.BinarySearchFunc(order, b.free, func(b *list, f Resources) int { return b.free.compare(f) })
	return slices.Insert(order, i, b)
}
