// Package backoff computes pauses that grow with each failure, and spreads them so that what failed together is not
// tried again together. It is pure: the spread of an id and a number is always the same.
package backoff

import "time"

// Doubled returns first doubled n times, at most limit; a negative n is 0.
func Doubled(first time.Duration, n int, limit time.Duration) time.Duration {
	n = max(n, 0)
	if n >= 40 || first > limit>>n {
		return limit
	}
	return first << n
}

// Spread returns a part of a quarter of the pause, fixed for the id and the number.
func Spread(pause time.Duration, id [16]byte, n uint64) time.Duration {
	return time.Duration(Hash(id, n) % uint64(pause/4+1))
}

// Hash mixes an id and a number (the finalizer of SplitMix64; Steele, Lea and Flood, 2014).
func Hash(id [16]byte, n uint64) uint64 {
	h := n
	for i := 0; i < 16; i += 8 {
		for j := range 8 {
			h ^= uint64(id[i+j]) << (8 * j)
		}
		h += 0x9e3779b97f4a7c15
		h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
		h = (h ^ h>>27) * 0x94d049bb133111eb
		h ^= h >> 31
	}
	return h
}
