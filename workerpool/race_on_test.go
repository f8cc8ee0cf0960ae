//go:build race

package workerpool_test

const raceDetector = true
