//go:build !race

package workerpool_test

// raceDetector says that everything takes ten times as long.
const raceDetector = false
