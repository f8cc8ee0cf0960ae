//go:build !linux

package runner

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Name is what a program must be called to act as the runner.
const Name = "dormouse-runner"

// Config is what a host may change.
type Config struct {
	Command func(id, payload string) *exec.Cmd
}

// Init ends a program that is called to act as the runner: that needs Linux.
func Init(Config) {
	if filepath.Base(os.Args[0]) == Name {
		fmt.Fprintln(os.Stderr, Name+": needs Linux")
		os.Exit(1)
	}
}
