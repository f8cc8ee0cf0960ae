package prewarm

// selectFirst moves the n elements that are less than all others to the front, in any order. It takes linear time on
// average (Hoare's selection), so that a plan need not sort a hundred thousand members to remove a few. The pivot is the
// median of three: lists that are sorted already, as they come from a store, are not its worst case.
func selectFirst(list []int, n int, less func(a, b int) bool) {
	lo, hi := 0, len(list)-1
	for n > lo && n <= hi {
		pivot := median(list[lo], list[lo+(hi-lo)/2], list[hi], less)
		i, j := lo, hi
		for i <= j {
			for less(list[i], pivot) {
				i++
			}
			for less(pivot, list[j]) {
				j--
			}
			if i <= j {
				list[i], list[j] = list[j], list[i]
				i++
				j--
			}
		}
		switch {
		case n <= j+1:
			hi = j
		case n > i:
			lo = i
		default:
			return
		}
	}
}

func median(a, b, c int, less func(a, b int) bool) int {
	if less(b, a) {
		a, b = b, a
	}
	if less(c, b) {
		b = c
		if less(b, a) {
			b = a
		}
	}
	return b
}
