//go:build unix && !linux

package workerpool

import (
	"syscall"
	"time"
)

// threadTime is what the process has computed so far: only Linux tells it for a thread.
func threadTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // cannot happen: the arguments are constants
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
