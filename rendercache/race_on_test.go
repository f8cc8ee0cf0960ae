//go:build race

package rendercache_test

const raceEnabled = true
