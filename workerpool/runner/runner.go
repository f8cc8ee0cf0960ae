//go:build linux

package runner

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Name is what a program must be called to act as the runner.
const Name = "dormouse-runner"

// DirEnv names the directory in which the runner keeps its jobs.
const DirEnv = "DORMOUSE_RUNNER_DIR"

// Config is what a host may change.
type Config struct {
	// Command returns the command of a job whose payload is in a file. Its standard streams and extra files are set by
	// the runner. Defaults to /bin/sh with the payload as its script.
	Command func(id, payload string) *exec.Cmd
}

// The files of a job. The processes of a job inherit two: the lock says that one of them lives, and the mark, which nobody
// else ever opens, says which they are.
const (
	fileLock    = "lock"
	fileMark    = "mark"
	filePayload = "payload"
	fileBegun   = "begun"
	fileExit    = "exit"
	fileOutput  = "output"
)

// fileStarting is locked by all who start a job. Whoever lists waits for them: what a list lacks is begun by no command that was at
// work before it. Whoever forgets a job has the lock alone: a job that is begun again since must not be forgotten by it.
const fileStarting = ".starting"

// maxPayload bounds a job's payload.
const maxPayload = 16 << 20

// Init acts as the runner, and ends the process, if the program was called so. Call it first thing in main.
func Init(cfg Config) {
	if filepath.Base(os.Args[0]) != Name {
		return
	}
	os.Exit(Main(cfg, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// Main acts as the runner and returns the exit status.
func Main(cfg Config, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	dir, err := directory()
	if err == nil {
		r := &runner{cfg: cfg, dir: dir, stdin: stdin, stdout: stdout}
		err = r.run(args)
	}
	if err != nil {
		fmt.Fprintln(stderr, Name+":", err)
		return 1
	}
	return 0
}

func directory() (string, error) {
	dir := os.Getenv(DirEnv)
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(home, "."+Name)
	}
	return dir, os.MkdirAll(dir, 0o700)
}

type runner struct {
	cfg    Config
	dir    string
	stdin  io.Reader
	stdout io.Writer
}

func (r *runner) run(args []string) error {
	if len(args) == 1 && args[0] == "list" {
		return r.list()
	}
	if len(args) != 2 {
		return errors.New("usage: list | start ID | kill ID | forget ID")
	}
	id := args[1]
	if id == "" || strings.ContainsAny(id, "/ \t\n") || id[0] == '.' {
		return fmt.Errorf("job id %q: must be a plain word", id)
	}
	switch args[0] {
	case "start":
		return r.start(id)
	case "kill":
		return r.kill(id)
	case "forget":
		return r.forget(id)
	case "supervise":
		return r.supervise(id)
	}
	return fmt.Errorf("unknown verb %q", args[0])
}

func (r *runner) path(id, file string) string { return filepath.Join(r.dir, id, file) }

// lockStarts takes the lock of those who start jobs, which the kernel lets go of with the process.
func (r *runner) lockStarts(how int) (io.Closer, error) {
	f, err := os.OpenFile(filepath.Join(r.dir, fileStarting), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		if err = syscall.Flock(int(f.Fd()), how); err == nil {
			return f, nil
		}
		if !errors.Is(err, syscall.EINTR) {
			return nil, errors.Join(err, f.Close())
		}
	}
}

// list prints the line of each job.
func (r *runner) list() error {
	starts, err := r.lockStarts(syscall.LOCK_EX)
	if err != nil {
		return err
	}
	defer starts.Close()
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.IsDir() || e.Name()[0] == '.' {
			continue
		}
		if line, err := r.line(e.Name()); err != nil {
			return err
		} else if line != "" {
			if _, err := fmt.Fprintln(r.stdout, line); err != nil {
				return err
			}
		}
	}
	return nil
}

// line is what there is to say of a job; nothing if it never began. The exit is looked for again after the lock: the
// supervisor writes it before it lets go.
func (r *runner) line(id string) (string, error) {
	if line, ok := r.exitLine(id); ok {
		return line, nil
	}
	alive, err := Locked(r.path(id, fileLock))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err != nil:
		return "", err
	case alive:
		return id, nil
	}
	if line, ok := r.exitLine(id); ok {
		return line, nil
	}
	if _, err := os.Stat(r.path(id, fileBegun)); err != nil {
		return "", nil //nolint:nilerr // it never began
	}
	return id + " stale", nil
}

// exitLine is the line of a job that has ended. A file without a number, as a machine leaves it that loses its power, says nothing: the
// line would have the whole list refused.
func (r *runner) exitLine(id string) (string, bool) {
	text, err := os.ReadFile(r.path(id, fileExit))
	if err != nil {
		return "", false
	}
	code, err := strconv.Atoi(string(text))
	return fmt.Sprintf("%s exit %d", id, code), err == nil
}

// start begins a job. One that runs is left alone; what an earlier try has left is replaced.
func (r *runner) start(id string) error {
	payload, err := io.ReadAll(io.LimitReader(r.stdin, maxPayload+1))
	if err != nil {
		return err
	}
	if len(payload) > maxPayload {
		return fmt.Errorf("the payload has more than %d bytes", maxPayload)
	}
	var trash string
	defer func() { _ = discard(trash) }() // when the lock is free
	// Not before: whoever sends the payload may be cut off, and would keep everybody from listing.
	starting, err := r.lockStarts(syscall.LOCK_SH)
	if err != nil {
		return err
	}
	defer starting.Close()
	if line, err := r.line(id); err != nil || line == id {
		return err
	}
	if trash, err = r.putAside(id); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(r.dir, id), 0o700); err != nil {
		return err
	}
	gate, begun, err := os.Pipe()
	if err != nil {
		return err
	}
	defer gate.Close()
	defer begun.Close() // after the mark: the supervisor waits for it, and this process is none of the job's by then
	lock, mark, err := r.open(id)
	if err != nil {
		return err
	}
	defer lock.Close()
	defer mark.Close()
	if err := os.WriteFile(r.path(id, filePayload), payload, 0o600); err != nil {
		return err
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	supervisor := &exec.Cmd{
		Path: exe, Args: []string{Name, "supervise", id}, Env: append(os.Environ(), DirEnv+"="+r.dir),
		ExtraFiles: []*os.File{lock, mark, gate}, SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	return supervisor.Start() // it outlives this process
}

// open makes the files by which a job's processes are known, and takes the lock.
func (r *runner) open(id string) (lock, mark *os.File, err error) {
	if lock, err = os.OpenFile(r.path(id, fileLock), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, nil, err
	}
	if err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
		mark, err = os.OpenFile(r.path(id, fileMark), os.O_RDWR|os.O_CREATE, 0o600)
	}
	if err != nil {
		lock.Close()
	}
	return lock, mark, err
}

// supervise runs a job and notes its end. Its lock and mark are descriptors 3 and 4, as they are the job's; 5 ends when the
// process that starts the job has let go of the mark. A job that ends before would take that process along with what it leaves
// behind, and the caller would take it for one that did not begin.
func (r *runner) supervise(id string) error {
	lock, mark, gate := os.NewFile(3, fileLock), os.NewFile(4, fileMark), os.NewFile(5, "gate")
	defer lock.Close() // not before: the lock says that the job lives, and garbage collection would close it
	defer mark.Close()
	_, _ = io.Copy(io.Discard, gate)
	_ = gate.Close()
	if err := os.WriteFile(r.path(id, fileBegun), nil, 0o600); err != nil {
		return err
	}
	output, err := os.OpenFile(r.path(id, fileOutput), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	command := r.command(id)
	command.Stdout, command.Stderr = output, output
	command.ExtraFiles = []*os.File{lock, mark}
	err = command.Run()
	code := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() >= 0:
		code = exit.ExitCode()
	case errors.As(err, &exit):
		code = 128 + int(exit.Sys().(syscall.WaitStatus).Signal())
	case err != nil:
		fmt.Fprintln(output, Name+":", err)
		code = 127
	}
	// What the job has left behind must not live on: its room is given to others.
	Signal(r.path(id, fileMark), syscall.SIGKILL)
	temporary := r.path(id, "."+fileExit)
	if err := os.WriteFile(temporary, []byte(strconv.Itoa(code)), 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, r.path(id, fileExit))
}

func (r *runner) command(id string) *exec.Cmd {
	if r.cfg.Command != nil {
		return r.cfg.Command(id, r.path(id, filePayload))
	}
	return exec.Command("/bin/sh", r.path(id, filePayload))
}

// kill asks all processes of a job but its supervisor to end.
func (r *runner) kill(id string) error {
	line, err := r.line(id)
	if err != nil {
		return err
	}
	if line == id {
		for _, pid := range Holders(r.path(id, fileMark)) {
			if !isSupervisor(pid) {
				_ = syscall.Kill(pid, syscall.SIGTERM)
			}
		}
	}
	if line != "" {
		_, err = fmt.Fprintln(r.stdout, line)
	}
	return err
}

// isSupervisor tells a supervisor by its arguments.
func isSupervisor(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && strings.HasPrefix(string(text), Name+"\x00supervise\x00")
}

// forget drops a job that has ended.
func (r *runner) forget(id string) error {
	alone, err := r.lockStarts(syscall.LOCK_EX)
	if err != nil {
		return err
	}
	trash, err := r.putAside(id)
	if err := errors.Join(err, alone.Close()); err != nil {
		return err
	}
	return discard(trash)
}

// putAside gives the directory of a job that has ended another name, which it returns, so that a list never shows half of it. There
// may be none.
func (r *runner) putAside(id string) (trash string, err error) {
	line, err := r.line(id)
	if err != nil {
		return "", err
	}
	if line == id {
		return "", fmt.Errorf("job %s runs", id)
	}
	trash = filepath.Join(r.dir, fmt.Sprintf(".%s.%d", id, os.Getpid()))
	if err := os.Rename(filepath.Join(r.dir, id), trash); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return "", err
	}
	return trash, nil
}

func discard(trash string) error {
	if trash == "" {
		return nil
	}
	return os.RemoveAll(trash)
}

// Locked reports whether a process holds the lock on a file.
func Locked(path string) (bool, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return false, err
	}
	defer f.Close()
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return true, nil
	}
	return false, err
}

// Holders returns the processes, this one excepted, that have a file open.
func Holders(path string) []int {
	var pids []int
	processes, _ := os.ReadDir("/proc")
	for _, process := range processes {
		pid, err := strconv.Atoi(process.Name())
		if err == nil && pid != os.Getpid() && holds(pid, path) {
			pids = append(pids, pid)
		}
	}
	return pids
}

func holds(pid int, path string) bool {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if target, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil && target == path {
			return true
		}
	}
	return false
}

// Signal sends a signal to each holder of a file and returns how many there were.
func Signal(path string, s syscall.Signal) int {
	pids := Holders(path)
	for _, pid := range pids {
		_ = syscall.Kill(pid, s)
	}
	return len(pids)
}
