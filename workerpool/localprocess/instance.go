//go:build linux

package localprocess

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/dormouse-go/dormouse/workerpool/runner"
)

// instanceName is what the program is called when it is an instance.
const instanceName = "dormouse-instance"

// The descriptors of the lock and the mark in all processes of an instance. They leave room for those that the runner
// gives to a job.
const (
	lockDescriptor = 9
	markDescriptor = 8
)

// inherited puts the two files at their descriptors.
func inherited(lock, mark *os.File) []*os.File {
	files := make([]*os.File, lockDescriptor-2)
	files[markDescriptor-3], files[lockDescriptor-3] = mark, lock
	return files
}

// request and answer are what goes over an instance's socket.
type request struct {
	Command string
	Stdin   []byte
}

type answer struct {
	Output []byte `json:",omitempty"`
	Ended  bool   `json:",omitempty"`
	Error  string `json:",omitempty"`
}

// Init turns the program into an instance or its runner if it was started as one, and never returns then. Call it first
// thing in main, and in TestMain.
func Init() { InitWith(runner.Config{}) }

// InitWith is Init with a configuration of the runner.
func InitWith(cfg runner.Config) {
	runner.Init(cfg)
	if filepath.Base(os.Args[0]) != instanceName {
		return
	}
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, instanceName+":", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// serve runs commands until the process is killed. The working directory is the instance's.
func serve() error {
	signal.Ignore(syscall.SIGHUP, syscall.SIGINT, syscall.SIGPIPE)
	if len(os.Args) > 1 {
		boot, err := time.ParseDuration(os.Args[1])
		if err != nil {
			return err
		}
		<-time.After(boot) //nolint:forbidigo // a process of its own, whose time is real
	}
	if err := prepare(); err != nil {
		return err
	}
	_ = os.Remove(fileSocket)
	listener, err := net.Listen("unix", fileSocket)
	if err != nil {
		return err
	}
	// One pair of files for the life of the process: a file that is collected as garbage closes its descriptor, and
	// with it the instance would seem to be dead.
	files := inherited(os.NewFile(lockDescriptor, fileLock), os.NewFile(markDescriptor, fileMark))
	defer runtime.KeepAlive(files)
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go handle(conn, files)
	}
}

// prepare puts the runner on the PATH of commands, and its jobs into the instance's folder.
func prepare() error {
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	bin := filepath.Join(dir, "bin")
	if err := os.MkdirAll(bin, 0o700); err != nil {
		return err
	}
	if err := os.Symlink(exe, filepath.Join(bin, runner.Name)); err != nil && !os.IsExist(err) {
		return err
	}
	if err := os.Setenv("PATH", bin+":"+os.Getenv("PATH")); err != nil {
		return err
	}
	return os.Setenv(runner.DirEnv, filepath.Join(dir, dirJobs))
}

// handle runs one command. If the other side hangs up, it is killed, with what it has started.
func handle(conn net.Conn, files []*os.File) {
	defer conn.Close()
	var r request
	if err := json.NewDecoder(conn).Decode(&r); err != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		_, _ = conn.Read(make([]byte, 1)) // returns when the other side hangs up
		cancel()
	}()
	answers := json.NewEncoder(conn)
	command := exec.CommandContext(ctx, "/bin/sh", "-c", r.Command)
	command.Stdin = bytes.NewReader(r.Stdin)
	command.Stdout = writer(func(b []byte) error { return answers.Encode(answer{Output: b}) })
	var stderr tail
	command.Stderr = &stderr
	command.ExtraFiles = files
	// The shell alone would leave what it runs at work, which nobody expects any more. Jobs are in sessions of their own.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	command.WaitDelay = time.Second // what it started may keep its streams open
	last := answer{Ended: true}
	if err := command.Run(); err != nil {
		last.Error = strings.TrimSpace(err.Error() + ": " + stderr.String())
	}
	_ = answers.Encode(last)
}

type writer func([]byte) error

// Write implements io.Writer.
func (w writer) Write(b []byte) (int, error) { return len(b), w(b) }

// tail keeps the beginning of what a command complains about.
type tail struct{ bytes.Buffer }

// Write implements io.Writer.
func (t *tail) Write(b []byte) (int, error) {
	const most = 1024
	t.Buffer.Write(b[:min(len(b), max(0, most-t.Len()))])
	return len(b), nil
}
