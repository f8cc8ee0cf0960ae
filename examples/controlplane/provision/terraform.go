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
	"syscall"
	"time"

	"github.com/google/uuid"
)

// TerraformBinary finds terraform or tofu, "" if neither is here.
func TerraformBinary() string {
	for _, name := range []string{"tofu", "terraform"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// Stacks are workspaces that terraform makes, each in a folder of its own with its state.
type Stacks struct{ folder, binary string }

var _ Provisioner = Stacks{}

// NewStacks returns the stacks of a folder.
func NewStacks(folder, binary string) Stacks { return Stacks{folder, binary} }

func (s Stacks) dir(id uuid.UUID) string { return filepath.Join(s.folder, "stacks", id.String()) }

// Start implements [Provisioner].
func (s Stacks) Start(ctx context.Context, id uuid.UUID, o Order, log io.Writer) (string, error) {
	if err := s.apply(ctx, id, o, log, "true"); err != nil {
		return "", err
	}
	return "file://" + s.dir(id), nil
}

// Stop implements [Provisioner]. What the template counts by var.running goes, the rest stays.
func (s Stacks) Stop(ctx context.Context, id uuid.UUID, o Order, log io.Writer) error {
	return s.apply(ctx, id, o, log, "false")
}

// Delete implements [Provisioner].
func (s Stacks) Delete(ctx context.Context, id uuid.UUID, o Order, log io.Writer) error {
	if _, err := os.Stat(s.dir(id)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := s.prepare(ctx, id, o, log); err != nil {
		return err
	}
	if err := s.run(ctx, id, log, "destroy", "-auto-approve", "-input=false", "-no-color", "-var=running=false"); err != nil {
		return err
	}
	return os.RemoveAll(s.dir(id))
}

func (s Stacks) apply(ctx context.Context, id uuid.UUID, o Order, log io.Writer, running string) error {
	if err := s.prepare(ctx, id, o, log); err != nil {
		return err
	}
	return s.run(ctx, id, log, "apply", "-auto-approve", "-input=false", "-no-color", "-var=running="+running)
}

// prepare writes the template down and initializes its folder.
func (s Stacks) prepare(ctx context.Context, id uuid.UUID, o Order, log io.Writer) error {
	if err := os.MkdirAll(s.dir(id), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(s.dir(id), "main.tf"), []byte(o.Main), 0o600); err != nil {
		return err
	}
	return s.run(ctx, id, log, "init", "-input=false", "-no-color")
}

// run runs terraform. When ctx ends it is interrupted, and has some time to write its state.
func (s Stacks) run(ctx context.Context, id uuid.UUID, log io.Writer, args ...string) error {
	cmd := exec.CommandContext(ctx, s.binary, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir(id), log, log
	cmd.Env = append(os.Environ(), "TF_IN_AUTOMATION=1", "CHECKPOINT_DISABLE=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 20 * time.Second
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", filepath.Base(s.binary), args[0], err)
	}
	return nil
}
