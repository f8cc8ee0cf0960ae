//go:build !race

package dormousetest_test

import "time"

// weekMay is what a week of a hundred workspaces may take.
const weekMay = time.Second
