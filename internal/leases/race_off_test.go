//go:build !race

package leases_test

const raced = false
