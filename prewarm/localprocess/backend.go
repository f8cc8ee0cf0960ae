//go:build unix

// Package localprocess is a backend of package prewarm whose resources are processes on this machine: a pool of
// interpreters, language servers or runners that are started before somebody needs them.
//
// Processes live on when the program that started them ends, and are found again by their directories. A process is
// recorded before its command begins, so none is lost in between; on Linux a recorded number that belongs to another
// process by now is not taken for it.
//
// It isolates nothing: a process may do what its user may. It does not restart what has ended; the pool replaces it.
package localprocess

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/coder/quartz"
	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/prewarm"
)

// ResourceEnv is the variable by which a process knows its resource, DirEnv the one by which it knows its directory.
const (
	ResourceEnv = "DORMOUSE_RESOURCE"
	DirEnv      = "DORMOUSE_DIR"
)

// Files in a resource's directory.
const (
	pidFile   = "pid"
	readyFile = "ready"
	ownerFile = "owner"
)

// Config says how processes are run. Dir and Command are required.
type Config struct {
	// Dir holds a directory for each resource. It must not be shared with other programs.
	Dir string
	// Command returns the command of a member and its arguments.
	Command func(m prewarm.Member) []string
	// Ready reports whether the process of a directory can be used. Defaults to whether it has made a file "ready" there.
	Ready func(dir string) bool
	// Poll is how often processes are looked at. Defaults to 50 milliseconds.
	Poll time.Duration
	// Grace is how long a process may take to end after SIGTERM before it is killed. Defaults to 2 seconds.
	Grace time.Duration
	// Clock defaults to the real one.
	Clock quartz.Clock
}

// Backend runs processes. It is safe for concurrent use.
type Backend struct{ cfg Config }

var _ prewarm.Backend = (*Backend)(nil)

// New returns a backend over a directory, which is made if it does not exist.
func New(cfg Config) (*Backend, error) {
	switch {
	case cfg.Dir == "":
		return nil, invalid.New("Config.Dir", cfg.Dir, "must name a directory")
	case cfg.Command == nil:
		return nil, invalid.New("Config.Command", "nil", "processes need a command")
	}
	if err := cmp.Or(invalid.Duration("Config.Poll", cfg.Poll), invalid.Duration("Config.Grace", cfg.Grace)); err != nil {
		return nil, err
	}
	cfg.Poll = cmp.Or(cfg.Poll, 50*time.Millisecond)
	cfg.Grace = cmp.Or(cfg.Grace, 2*time.Second)
	if cfg.Ready == nil {
		cfg.Ready = func(dir string) bool { return exists(filepath.Join(dir, readyFile)) }
	}
	if cfg.Clock == nil {
		cfg.Clock = quartz.NewReal()
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("localprocess: %w", err)
	}
	return &Backend{cfg: cfg}, nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// poolDir returns the directory of a pool: its name may contain anything.
func (b *Backend) poolDir(pool string) string {
	return filepath.Join(b.cfg.Dir, strconv.Quote(strings.ReplaceAll(pool, "/", "%2f")))
}

// Dir returns the directory of a member's resource.
func (b *Backend) Dir(m prewarm.Member) string { return b.dir(m.Pool, m.Resource) }

func (b *Backend) dir(pool string, resource uuid.UUID) string {
	return filepath.Join(b.poolDir(pool), resource.String())
}

// record writes the number of the process before the command takes its place. The directory must be new: so of two
// calls for one resource one starts it.
const record = `echo $$ > "$` + DirEnv + `/pid.new" && mv "$` + DirEnv + `/pid.new" "$` + DirEnv + `/pid" && exec "$@"`

// Create implements [prewarm.Backend].
func (b *Backend) Create(_ context.Context, m prewarm.Member) (prewarm.Status, error) {
	command := b.cfg.Command(m)
	if len(command) == 0 {
		return prewarm.StatusUnknown, invalid.New("Config.Command", command, "must return a command")
	}
	dir := b.Dir(m)
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return prewarm.StatusUnknown, fmt.Errorf("localprocess: %w", err)
	}
	if err := os.Mkdir(dir, 0o700); errors.Is(err, fs.ErrExist) {
		return b.status(dir, m.Resource), nil // another call has started it
	} else if err != nil {
		return prewarm.StatusUnknown, fmt.Errorf("localprocess: %w", err)
	}
	cmd := exec.Command("/bin/sh", append([]string{"-c", record, "sh"}, command...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), ResourceEnv+"="+m.Resource.String(), DirEnv+"="+dir)
	// A session of its own: it lives on without us, and signals reach all that it has started.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return prewarm.StatusUnknown, fmt.Errorf("localprocess: start %s: %w", command[0], err)
	}
	go func() { _ = cmd.Wait() }() // how it ended is seen by looking; this only lets the kernel forget it
	return prewarm.StatusStarting, nil
}

// status says how the process of a directory is.
func (b *Backend) status(dir string, resource uuid.UUID) prewarm.Status {
	pid, err := readPID(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist) && exists(dir) && !strings.HasSuffix(dir, goneSuffix):
		return prewarm.StatusStarting // it is about to write its number; the readiness deadline decides
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errNoNumber):
		return prewarm.StatusStopped
	case err != nil:
		return prewarm.StatusUnknown
	}
	switch look(pid, resource) {
	case absent:
		return prewarm.StatusStopped
	case unknown:
		return prewarm.StatusUnknown
	}
	if b.cfg.Ready(dir) {
		return prewarm.StatusReady
	}
	return prewarm.StatusStarting
}

// errNoNumber says that a file holds no number of a process: a machine that lost its power leaves it so, and its processes are gone.
var errNoNumber = errors.New("no number of a process")

func readPID(dir string) (int, error) {
	text, err := os.ReadFile(filepath.Join(dir, pidFile))
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid <= 1 {
		return 0, errNoNumber
	}
	return pid, nil
}

// presence is what is known of a process.
type presence uint8

const (
	absent presence = iota
	present
	unknown
)

// look says whether the process runs and is that of the resource: numbers are used again. For a moment in which a process
// begins another program, the kernel shows no environment, and nothing is known; where it never shows one, the number has
// to do.
func look(pid int, resource uuid.UUID) presence {
	if syscall.Kill(pid, 0) != nil {
		return absent
	}
	env, err := environ(pid)
	switch {
	case err != nil && !exists("/proc/self/environ"):
		return present
	case bytes.Contains(append([]byte{0}, env...), []byte("\x00"+ResourceEnv+"="+resource.String()+"\x00")):
		return present
	case len(env) > 0 || ended(pid):
		return absent
	}
	return unknown
}

// environ returns the environment of a process, of one instant: where it begins another program between two reads, the second finds
// nothing, and what the first has found looks like all of it.
func environ(pid int) ([]byte, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	for size := 64 << 10; ; size *= 2 {
		env := make([]byte, size)
		n, err := syscall.Pread(int(f.Fd()), env, 0)
		if err != nil || n < size {
			return env[:max(n, 0)], err
		}
	}
}

// ended reports whether a process has ended and only waits to be forgotten.
func ended(pid int) bool {
	stat, err := stat(pid)
	return errors.Is(err, fs.ErrNotExist) || len(stat) > 0 && (stat[0] == "Z" || stat[0] == "X")
}

// session returns the session of a process, 0 if it is not known.
func session(pid int) int {
	stat, err := stat(pid)
	if err != nil || len(stat) < 4 {
		return 0
	}
	id, _ := strconv.Atoi(stat[3])
	return id
}

// stat returns what the kernel says of a process, from its state on: that stands behind the name, which may contain anything.
func stat(pid int) ([]string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, err
	}
	return strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:])), nil
}

// goneSuffix marks the directory of a resource that was destroyed before its process had written its number.
const goneSuffix = ".gone"

// Destroy implements [prewarm.Backend]: SIGTERM to all processes of the group, SIGKILL after the grace. On Linux it also finds
// what has left the group or has outlived the process. A process that has not written its number yet does not begin its command.
func (b *Backend) Destroy(ctx context.Context, m prewarm.Member) error {
	dir := b.Dir(m)
	if exists(dir + goneSuffix) { // an earlier call has not come to its end
		if err := b.destroy(ctx, dir+goneSuffix, m.Resource); err != nil {
			return err
		}
	}
	if !exists(filepath.Join(dir, pidFile)) {
		// A directory that has moved takes no number any more. One that was written just before has moved with it.
		switch err := os.Rename(dir, dir+goneSuffix); {
		case err == nil:
			dir += goneSuffix
		case !errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("localprocess: %w", err)
		}
	}
	return b.destroy(ctx, dir, m.Resource)
}

func (b *Backend) destroy(ctx context.Context, dir string, resource uuid.UUID) error {
	pid, err := readPID(dir)
	switch {
	case err == nil:
		if err := b.end(ctx, pid, resource); err != nil {
			return err
		}
	case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errNoNumber):
		return fmt.Errorf("localprocess: %w", err)
	}
	if err := b.endRest(ctx, pid, resource); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("localprocess: %w", err)
	}
	return nil
}

func (b *Backend) end(ctx context.Context, pid int, resource uuid.UUID) error {
	if look(pid, resource) == absent {
		return nil
	}
	_ = syscall.Kill(-pid, syscall.SIGTERM) // an error is seen by looking
	killAt := b.cfg.Clock.Now().Add(b.cfg.Grace)
	for look(pid, resource) != absent {
		if !b.cfg.Clock.Now().Before(killAt) {
			_ = syscall.Kill(-pid, syscall.SIGKILL)
		}
		if err := b.sleep(ctx, min(b.cfg.Poll, 20*time.Millisecond)); err != nil {
			return fmt.Errorf("localprocess: process %d has not ended: %w", pid, err)
		}
	}
	_ = syscall.Kill(-pid, syscall.SIGKILL) // what it has left behind
	return nil
}

// endRest kills every process that was started for a resource: known by its environment, or by the session of its process
// where it shows none, as one does that has none or is about to begin a program.
func (b *Backend) endRest(ctx context.Context, leader int, resource uuid.UUID) error {
	if syscall.Kill(leader, 0) == nil && !ended(leader) {
		leader = 0 // its number belongs to another process by now
	}
	for {
		rest := startedFor(leader, resource)
		if len(rest) == 0 {
			return nil
		}
		for _, pid := range rest {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		if err := b.sleep(ctx, min(b.cfg.Poll, 20*time.Millisecond)); err != nil {
			return fmt.Errorf("localprocess: not ended, by process id: %v: %w", rest, err)
		}
	}
}

// startedFor are the processes with a resource in their environment or without one in a session, none where the kernel
// shows no environments.
func startedFor(leader int, resource uuid.UUID) (found []int) {
	if !exists("/proc/self/environ") {
		return nil
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid <= 1 || pid == os.Getpid() {
			continue
		}
		if seen := look(pid, resource); seen == present || seen == unknown && leader > 0 && session(pid) == leader {
			found = append(found, pid)
		}
	}
	return found
}

func (b *Backend) sleep(ctx context.Context, d time.Duration) error {
	timer := b.cfg.Clock.NewTimer(d, "localprocess")
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// List implements [prewarm.Backend].
func (b *Backend) List(_ context.Context, pool string) ([]prewarm.Event, error) {
	entries, err := os.ReadDir(b.poolDir(pool))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("localprocess: %w", err)
	}
	var found []prewarm.Event
	for _, e := range entries {
		if id, err := uuid.Parse(strings.TrimSuffix(e.Name(), goneSuffix)); err == nil {
			found = append(found, prewarm.Event{Resource: id, Status: b.status(filepath.Join(b.poolDir(pool), e.Name()), id)})
		}
	}
	return found, nil
}

// Watch implements [prewarm.Backend]: it looks at the processes from time to time, and tells what has changed.
func (b *Backend) Watch(ctx context.Context, pool string, tell func(prewarm.Event)) error {
	known := make(map[uuid.UUID]prewarm.Event)
	for {
		listing, err := b.List(ctx, pool)
		if err != nil {
			return err
		}
		now := make(map[uuid.UUID]prewarm.Event, len(listing))
		for _, e := range listing {
			now[e.Resource] = e
			if known[e.Resource] != e {
				tell(e)
			}
		}
		for id := range maps.Keys(known) {
			if _, there := now[id]; !there {
				tell(prewarm.Event{Resource: id, Status: prewarm.StatusStopped})
			}
		}
		known = now
		if err := b.sleep(ctx, b.cfg.Poll); err != nil {
			return err
		}
	}
}

// Mark implements [prewarm.Backend]: the owner stands in a file "owner" of the resource's directory.
func (b *Backend) Mark(_ context.Context, m prewarm.Member) error {
	path := filepath.Join(b.Dir(m), ownerFile)
	if err := os.WriteFile(path+".new", []byte(m.Claim.Owner), 0o600); err != nil {
		return fmt.Errorf("localprocess: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("localprocess: %w", err)
	}
	return nil
}
