//go:build !linux

package localprocess

// Init does nothing: the package needs Linux.
func Init() {}
