package forecast

import (
	"syscall"
	"time"
)

// cpu is the time this process has computed so far, in all its threads: other processes share the cores.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // cannot happen: the arguments are constants
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
