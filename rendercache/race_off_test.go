//go:build !race

package rendercache_test

// raceEnabled tells tests of allocations that the race detector adds its own.
const raceEnabled = false
