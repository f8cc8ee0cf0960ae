package workerpool

import (
	"syscall"
	"time"
	"unsafe"
)

// threadTime is what the calling thread has computed so far. Its rusage counts in ticks, which are too long here.
func threadTime() time.Duration {
	const threadCPU = 3 // CLOCK_THREAD_CPUTIME_ID
	var ts syscall.Timespec
	if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, threadCPU, uintptr(unsafe.Pointer(&ts)), 0); errno != 0 {
		panic(errno) // cannot happen: the clock exists on every Linux
	}
	return time.Duration(ts.Nano())
}
