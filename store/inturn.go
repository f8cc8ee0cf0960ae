package store

// InTurn takes up to limit elements from several lists, one of each in turn. It is for authors of stores: so an outbox shares a claim
// out between what it has of each kind, in the order in which [lifecycle.Outbox] names them. The result is a new list.
func InTurn[T any](limit int, lists ...[]T) []T {
	var taken []T
	for i, more := 0, true; more; i++ {
		more = false
		for _, list := range lists {
			if i < len(list) && len(taken) < limit {
				taken, more = append(taken, list[i]), true
			}
		}
	}
	return taken
}
