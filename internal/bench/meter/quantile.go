package meter

import "slices"

// Number is what a series of readings is made of.
type Number interface{ ~int | ~int64 | ~float64 }

// Median is the reading in the middle, the upper one of two, and 0 if there are none. The readings stay in their order.
func Median[T Number](readings []T) T { return Quantile(readings, 0.5) }

// Quantile is the reading that a share of all, from 0 to 1, is below.
func Quantile[T Number](readings []T, share float64) T {
	if len(readings) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(readings))
	return sorted[min(int(share*float64(len(sorted))), len(sorted)-1)]
}
