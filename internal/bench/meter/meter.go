// Package meter reads what processes have computed, which says more on a shared machine than how long they took.
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

// Server is what a process and its children have computed so far, ended ones included. The kernel counts it in hundredths of
// a second.
func Server(pid int) (time.Duration, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0, err
	}
	ticks := 0
	for _, entry := range entries {
		child, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		fields, err := stat(child)
		if err != nil || child != pid && fields[1] != strconv.Itoa(pid) {
			continue
		}
		last := 13 // user and system time
		if child == pid {
			last = 15 // and that of children that have ended
		}
		for _, field := range fields[11:last] {
			n, _ := strconv.Atoi(field)
			ticks += n
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
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
