// Package meter reads what processes have computed, which says more on a shared machine than how long they took, and says what is
// in the middle of a series of readings.
package meter

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Process is what this process has computed so far, in all its threads.
func Process() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // cannot happen: the arguments are constants
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Server is what a process and its children have computed so far, ended ones included. None of them may have threads, as the
// processes of a PostgreSQL server have none. The kernel counts it to the nanosecond, and what ended ones have computed in
// hundredths of a second.
func Server(pid int) (sum time.Duration, err error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0, err
	}
	for _, entry := range entries {
		child, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		fields, err := stat(child)
		if err != nil || child != pid && fields[1] != strconv.Itoa(pid) {
			continue
		}
		sum += onCore(child, fields)
		if child == pid {
			sum += ticks(fields[13:15]) // those of children that have ended
		}
	}
	return sum, nil
}

// onCore is how long a process has been on a core: as the scheduler counts it, and where the kernel does not say so in ticks.
func onCore(pid int, fields []string) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", pid))
	if parts := strings.Fields(string(text)); err == nil && len(parts) == 3 {
		if n, err := strconv.ParseInt(parts[0], 10, 64); err == nil {
			return time.Duration(n)
		}
	}
	return ticks(fields[11:13])
}

// ticks adds up times that the kernel counts in hundredths of a second.
func ticks(fields []string) (sum time.Duration) {
	for _, field := range fields {
		n, _ := strconv.Atoi(field)
		sum += time.Duration(n) * 10 * time.Millisecond
	}
	return sum
}

// Parent is the parent of a process: of a server's backend, the server.
func Parent(pid int) (int, error) {
	fields, err := stat(pid)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(fields[1])
}

// stat returns the fields of a process after its name: state, parent and so on.
func stat(pid int) ([]string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(string(text)[strings.LastIndexByte(string(text), ')')+1:])
	if len(fields) < 15 {
		return nil, fmt.Errorf("process %d: %d fields", pid, len(fields))
	}
	return fields, nil
}
