//go:build unix

// Package provision makes workspaces real. It is what a worker links: an order says what shall be, and each step is content to
// find that it is so already, because an order may be carried out again after a crash.
package provision

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/buildjobs"
	"github.com/dormouse-go/dormouse/acquirer/worker"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// The provisioners.
const (
	// Process: a workspace is a process group of this machine.
	Process = "process"
	// Terraform: a workspace is what terraform or tofu makes of a template.
	Terraform = "terraform"
)

// Tag is what a worker says that it can do, beside processes.
const Tag = "provisioner"

// Order is what a worker is to make of a workspace: the payload of a build's job.
type Order struct {
	Provisioner string `json:"provisioner"`
	Name        string `json:"name"`
	Owner       string `json:"owner"`
	// Again says that it may run and is to begin anew: a restart.
	Again bool `json:"again,omitempty"`
	// Main is the rendered template, for terraform.
	Main string `json:"main,omitempty"`
}

// Provisioner makes workspaces. Start returns where the workspace is to be reached.
type Provisioner interface {
	Start(ctx context.Context, id uuid.UUID, o Order, log io.Writer) (address string, err error)
	Stop(ctx context.Context, id uuid.UUID, o Order, log io.Writer) error
	Delete(ctx context.Context, id uuid.UUID, o Order, log io.Writer) error
}

// Handler carries builds out.
func Handler(all map[string]Provisioner) worker.Handler {
	return func(ctx context.Context, t *worker.Task) ([]byte, error) {
		b, err := buildjobs.BuildOf(t.Job)
		if err != nil {
			return nil, err
		}
		var o Order
		if err := json.Unmarshal(b.Payload, &o); err != nil {
			return nil, fmt.Errorf("the order of build %d cannot be read: %w", b.BuildNumber, err)
		}
		p, ok := all[o.Provisioner]
		if !ok {
			return nil, fmt.Errorf("this worker has no provisioner %q", o.Provisioner)
		}
		t.Logf("%s %s, attempt %d, with %s", b.Transition, o.Name, t.Job.Attempt, o.Provisioner)
		return carryOut(ctx, p, b, o, t)
	}
}

func carryOut(ctx context.Context, p Provisioner, b lifecycle.Job, o Order, t *worker.Task) ([]byte, error) {
	switch b.Transition {
	case lifecycle.TransitionStart:
		if o.Again {
			t.Progress(10, "stopping what runs")
			if err := p.Stop(ctx, b.WorkspaceID, o, t); err != nil {
				return nil, fmt.Errorf("stop before the start: %w", err)
			}
		}
		t.Progress(50, "starting")
		address, err := p.Start(ctx, b.WorkspaceID, o, t)
		if err == nil {
			t.Logf("it is at %s", address)
		}
		return []byte(address), err
	case lifecycle.TransitionStop:
		t.Progress(50, "stopping")
		return nil, p.Stop(ctx, b.WorkspaceID, o, t)
	case lifecycle.TransitionDelete:
		t.Progress(50, "deleting")
		return nil, p.Delete(ctx, b.WorkspaceID, o, t)
	}
	return nil, fmt.Errorf("nobody knows how to %s", b.Transition)
}
