//go:build linux

package localprocess

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/coder/quartz"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/workerpool"
	"github.com/dormouse-go/dormouse/workerpool/runner"
)

// Config tunes a [Provider]. The zero value works.
type Config struct {
	// Max bounds the instances; one more is refused as over quota. Defaults to 0: no limit.
	Max int
	// BootTime is how long an instance does not answer, as real ones do not at first. Defaults to 0.
	BootTime time.Duration
	// Env is added to the environment of instances, "NAME=value".
	Env []string
	// Clock defaults to the real one.
	Clock quartz.Clock
}

// Provider is a [workerpool.InstanceSet] and the [workerpool.Executor] of its instances. Several providers, in several
// processes, may use one directory, if one pool at a time does.
type Provider struct {
	root string
	cfg  Config

	mu sync.Mutex // of the files of tags
}

// The files of an instance. Its processes inherit the lock and the mark; see package runner.
const (
	fileInstance = "instance.json"
	fileLock     = "lock"
	fileMark     = "mark"
	fileSocket   = "socket"
	dirJobs      = "jobs"
)

// stored is an instance's file.
type stored struct {
	Type string
	Tags map[string]string
}

// maxRoot leaves room for the rest of a socket's path, which the kernel bounds at 108 bytes.
const maxRoot = 80

// New returns a provider whose instances live below a directory, which is made if it is not there.
func New(root string, cfg Config) (*Provider, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	if len(root) > maxRoot {
		return nil, invalid.New("root", root, "at most %d bytes: sockets lie below it", maxRoot)
	}
	if err := cmp.Or(invalid.Count("Config.Max", cfg.Max), invalid.Duration("Config.BootTime", cfg.BootTime)); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, err
	}
	if root, err = filepath.EvalSymlinks(root); err != nil { // holders of a file are found by its real path
		return nil, err
	}
	if cfg.Clock == nil {
		cfg.Clock = quartz.NewReal()
	}
	return &Provider{root: root, cfg: cfg}, nil
}

func (p *Provider) path(id workerpool.InstanceID, file string) string {
	return filepath.Join(p.root, string(id), file)
}

// quotaError says that there are as many instances as may be.
type quotaError struct{ max int }

func (e quotaError) Error() string {
	return fmt.Sprintf("the bound of instances is reached: %d", e.max)
}
func (e quotaError) QuotaReached() bool { return true }

// absentError says that there is no such instance.
type absentError struct{ id workerpool.InstanceID }

func (e absentError) Error() string { return fmt.Sprintf("no instance %s", e.id) }
func (e absentError) Absent() bool  { return true }

// Create starts an instance. Whenever it is interrupted: either the folder has its name and the lock is held until the
// instance holds it, or there is only a hidden folder that a later listing removes.
func (p *Provider) Create(ctx context.Context, order workerpool.Order) (workerpool.Instance, error) {
	if err := p.withinQuota(ctx); err != nil {
		return workerpool.Instance{}, err
	}
	var random [6]byte
	_, _ = rand.Read(random[:])
	id := workerpool.InstanceID("p-" + hex.EncodeToString(random[:]))
	hidden := "." + id
	if err := os.Mkdir(p.path(hidden, ""), 0o700); err != nil {
		return workerpool.Instance{}, err
	}
	if err := p.write(hidden, stored{order.Type.ProviderType, order.Tags}); err != nil {
		return workerpool.Instance{}, err
	}
	lock, mark, err := p.open(hidden)
	if err != nil {
		return workerpool.Instance{}, err
	}
	defer lock.Close()
	defer mark.Close()
	if err := os.Rename(p.path(hidden, ""), p.path(id, "")); err != nil {
		return workerpool.Instance{}, err
	}
	if err := p.spawn(id, lock, mark); err != nil {
		return workerpool.Instance{}, errors.Join(err, os.RemoveAll(p.path(id, "")))
	}
	return workerpool.Instance{ID: id, Address: p.path(id, fileSocket), ProviderType: order.Type.ProviderType, Tags: maps.Clone(order.Tags)}, nil
}

func (p *Provider) withinQuota(ctx context.Context) error {
	if p.cfg.Max == 0 {
		return ctx.Err()
	}
	all, err := p.List(ctx, nil)
	if err == nil && len(all) >= p.cfg.Max {
		err = quotaError{p.cfg.Max}
	}
	return err
}

// open makes and takes the files by which an instance's processes are known.
func (p *Provider) open(id workerpool.InstanceID) (lock, mark *os.File, err error) {
	if lock, err = os.OpenFile(p.path(id, fileLock), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, nil, err
	}
	if err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
		mark, err = os.OpenFile(p.path(id, fileMark), os.O_RDWR|os.O_CREATE, 0o600)
	}
	if err != nil {
		lock.Close()
	}
	return lock, mark, err
}

// spawn starts the instance's first process, in a session of its own, so that it outlives this one.
func (p *Provider) spawn(id workerpool.InstanceID, lock, mark *os.File) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	first := &exec.Cmd{
		Path: exe, Args: []string{instanceName, p.cfg.BootTime.String()}, Dir: p.path(id, ""),
		Env:        append(os.Environ(), p.cfg.Env...),
		ExtraFiles: inherited(lock, mark), SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	if err := first.Start(); err != nil {
		return err
	}
	go func() { _ = first.Wait() }() // no zombie is left while this process lives
	return nil
}

// List returns the instances that live and have the tags, and removes what is left of others.
func (p *Provider) List(ctx context.Context, tags map[string]string) ([]workerpool.Instance, error) {
	entries, err := os.ReadDir(p.root)
	if err != nil {
		return nil, err
	}
	var list []workerpool.Instance
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		id := workerpool.InstanceID(e.Name())
		alive, err := runner.Locked(p.path(id, fileLock))
		switch {
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return nil, err
		case !alive:
			p.sweep(id, e)
			continue
		case e.Name()[0] == '.':
			continue
		}
		s, err := p.read(id)
		if errors.Is(err, fs.ErrNotExist) {
			continue // destroyed meanwhile
		}
		if err != nil {
			return nil, err
		}
		if carries(s.Tags, tags) {
			list = append(list, workerpool.Instance{ID: id, Address: p.path(id, fileSocket), ProviderType: s.Type, Tags: s.Tags})
		}
	}
	return list, nil
}

func carries(have, want map[string]string) bool {
	for key, value := range want {
		if have[key] != value {
			return false
		}
	}
	return true
}

// leftAfter is how old a folder without a living process must be before it is removed: a create may just have made it.
const leftAfter = time.Minute

// sweep removes the folder of an instance that does not live.
func (p *Provider) sweep(id workerpool.InstanceID, e os.DirEntry) {
	info, err := e.Info()
	if err != nil || !e.IsDir() || e.Name()[0] == '.' && p.cfg.Clock.Since(info.ModTime()) < leftAfter {
		return
	}
	_ = os.RemoveAll(p.path(id, ""))
}

func (p *Provider) read(id workerpool.InstanceID) (s stored, err error) {
	text, err := os.ReadFile(p.path(id, fileInstance))
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	return s, err
}

func (p *Provider) write(id workerpool.InstanceID, s stored) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	temporary := p.path(id, "."+fileInstance)
	if err := os.WriteFile(temporary, text, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, p.path(id, fileInstance))
}

// SetTags implements [workerpool.InstanceSet].
func (p *Provider) SetTags(_ context.Context, id workerpool.InstanceID, tags map[string]string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	s, err := p.read(id)
	if errors.Is(err, fs.ErrNotExist) {
		return absentError{id}
	}
	if err != nil {
		return err
	}
	if s.Tags == nil {
		s.Tags = make(map[string]string)
	}
	maps.Copy(s.Tags, tags)
	return p.write(id, s)
}

// Destroy kills all processes of an instance and returns when none is left.
func (p *Provider) Destroy(ctx context.Context, id workerpool.InstanceID) error {
	if !plain(id) {
		return absentError{id}
	}
	for {
		alive, err := runner.Locked(p.path(id, fileLock))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return absentError{id}
		case err != nil:
			return err
		case !alive:
			return os.RemoveAll(p.path(id, ""))
		}
		runner.Signal(p.path(id, fileMark), syscall.SIGKILL)
		if err := p.pause(ctx, 5*time.Millisecond); err != nil {
			return err
		}
	}
}

// plain reports whether an id is the name of a folder here.
func plain(id workerpool.InstanceID) bool {
	return id != "" && id[0] != '.' && !strings.ContainsRune(string(id), filepath.Separator)
}

func (p *Provider) pause(ctx context.Context, d time.Duration) error {
	timer := p.cfg.Clock.NewTimer(d, "localprocess")
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// Run implements [workerpool.Executor]: the instance runs the command. When ctx ends, or stdout refuses, the connection is
// closed, and the instance kills the command with what it has begun.
func (p *Provider) Run(ctx context.Context, target workerpool.Target, command string, stdin io.Reader, stdout io.Writer) error {
	if !plain(target.ID) {
		return absentError{target.ID}
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", p.path(target.ID, fileSocket))
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	input, err := io.ReadAll(stdin)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(conn).Encode(request{command, input}); err != nil {
		return errors.Join(context.Cause(ctx), err)
	}
	return p.answer(ctx, conn, stdout)
}

func (p *Provider) answer(ctx context.Context, conn net.Conn, stdout io.Writer) error {
	answers := json.NewDecoder(conn)
	for {
		var a answer
		if err := answers.Decode(&a); err != nil {
			return errors.Join(context.Cause(ctx), fmt.Errorf("the instance hung up: %w", err))
		}
		if _, err := stdout.Write(a.Output); err != nil {
			return err
		}
		if a.Ended {
			if a.Error != "" {
				return errors.New(a.Error)
			}
			return nil
		}
	}
}

// Processes returns the processes of an instance, for tests and curious hosts.
func (p *Provider) Processes(id workerpool.InstanceID) []int {
	pids := runner.Holders(p.path(id, fileMark))
	slices.Sort(pids)
	return pids
}
