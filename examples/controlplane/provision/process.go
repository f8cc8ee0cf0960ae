//go:build unix

package provision

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/examples/controlplane/box"
	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/prewarm/localprocess"
)

// group is under which name the processes of workspaces are kept apart from others.
const group = "workspaces"

// startTime is how long a process may take to be ready.
const startTime = 30 * time.Second

// Processes are workspaces as process groups of this machine. They go on whatever becomes of workers and control planes, and are
// found again by their folders: any number of workers may use one folder.
type Processes struct {
	folder  string
	backend *localprocess.Backend
}

var _ Provisioner = (*Processes)(nil)

// NewProcesses returns the processes of a folder.
func NewProcesses(folder string) (*Processes, error) {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &Processes{folder: folder}
	p.backend, err = localprocess.New(localprocess.Config{
		Dir: filepath.Join(folder, "run"), Poll: 20 * time.Millisecond,
		Command: func(m prewarm.Member) []string { return p.command(self, m) },
	})
	return p, err
}

// command is that of a workspace: this program again, with its home, and in a sandbox where there is one. Of the worker's environment
// it has nothing: there may be secrets in it.
func (p *Processes) command(self string, m prewarm.Member) []string {
	home, run := p.home(m.Resource), p.backend.Dir(m)
	environment := []string{
		"/usr/bin/env", "-i", "PATH=" + os.Getenv("PATH"), "HOME=" + home, localprocess.ResourceEnv + "=" + m.Resource.String(), localprocess.DirEnv + "=" + run,
		box.HomeEnv + "=" + home, box.NameEnv + "=" + m.Claim.Owner,
	}
	return slices.Concat(environment, p.sandbox(self, home, run), []string{self, "-role", "workspace"})
}

// sandbox is what a command stands behind.
func (p *Processes) sandbox(self, home, run string) []string {
	if !sandboxed() {
		return nil
	}
	return []string{
		"bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp", "--tmpfs", p.folder,
		"--ro-bind", self, self, "--bind", home, home, "--bind", run, run, "--unshare-pid", "--unshare-ipc", "--unshare-uts",
		"--", // no new session: it stays in the process group, with which it is ended
	}
}

// sandboxed reports whether bubblewrap is here and may work.
var sandboxed = sync.OnceValue(func() bool {
	if _, err := exec.LookPath("bwrap"); err != nil {
		return false
	}
	return exec.Command("bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--unshare-pid", "true").Run() == nil
})

// Sandboxed reports whether workspaces are put into a sandbox.
func Sandboxed() bool { return sandboxed() }

func member(id uuid.UUID, name string) prewarm.Member {
	return prewarm.Member{Pool: group, Resource: id, Claim: prewarm.Claim{Owner: name}}
}

// home is what stays of a workspace when it stops.
func (p *Processes) home(id uuid.UUID) string { return filepath.Join(p.folder, "homes", id.String()) }

// Start implements [Provisioner]. What is left of a process that has ended is removed first.
func (p *Processes) Start(ctx context.Context, id uuid.UUID, o Order, log io.Writer) (string, error) {
	if err := os.MkdirAll(p.home(id), 0o700); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	m := member(id, o.Name)
	for {
		status, err := p.backend.Create(ctx, m)
		switch {
		case err != nil:
			return "", err
		case status == prewarm.StatusReady:
			return p.address(m)
		case status == prewarm.StatusStopped:
			fmt.Fprintln(log, "removing what is left of a process that has ended")
			if err := p.backend.Destroy(ctx, m); err != nil {
				return "", err
			}
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("it is not ready: %w", context.Cause(ctx))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (p *Processes) address(m prewarm.Member) (string, error) {
	text, err := os.ReadFile(filepath.Join(p.backend.Dir(m), box.AddressFile))
	return string(text), err
}

// Stop implements [Provisioner].
func (p *Processes) Stop(ctx context.Context, id uuid.UUID, o Order, _ io.Writer) error {
	return p.backend.Destroy(ctx, member(id, o.Name))
}

// Delete implements [Provisioner].
func (p *Processes) Delete(ctx context.Context, id uuid.UUID, o Order, log io.Writer) error {
	if err := p.Stop(ctx, id, o, log); err != nil {
		return err
	}
	return os.RemoveAll(p.home(id))
}

// Seen is a process as it is found on this machine.
type Seen struct {
	ID     uuid.UUID
	Status prewarm.Status
	// UsedAt is when somebody last had a connection to it, zero for never.
	UsedAt time.Time
}

// List returns the processes that are here, those that have ended without being stopped among them.
func (p *Processes) List(ctx context.Context) ([]Seen, error) {
	found, err := p.backend.List(ctx, group)
	if err != nil {
		return nil, err
	}
	list := make([]Seen, len(found))
	for i, e := range found {
		list[i] = Seen{ID: e.Resource, Status: e.Status}
		info, err := os.Stat(filepath.Join(p.backend.Dir(member(e.Resource, "")), box.UsedFile))
		switch {
		case err == nil:
			list[i].UsedAt = info.ModTime()
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
	}
	return list, nil
}
