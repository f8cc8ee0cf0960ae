package dormouse

import (
	"context"
	"fmt"
	"time"

	"github.com/dormouse-go/dormouse/internal/text"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// Notice is what the owner of a workspace should know.
type Notice struct {
	Event
	// Workspace and Owner are the names, empty if the workspace is not kept any more.
	Workspace string `json:"workspace,omitempty"`
	Owner     string `json:"owner,omitempty"`
	// Text says it in a sentence, in English; names and messages that could be mistaken for a part of it are quoted. A host with
	// words of its own reads Kind and Until.
	Text string `json:"text"`
}

func (p *Plane) notify(ctx context.Context, e Event) error {
	found, err := p.store.Load(ctx, e.WorkspaceID)
	if err != nil {
		return fmt.Errorf("load workspace %s of a notice: %w", e.WorkspaceID, err)
	}
	n := Notice{Event: e}
	zone := time.UTC
	if len(found) == 1 {
		w := &found[0].Workspace
		n.Workspace, n.Owner = w.Name, found[0].Owner.Name
		if w.Autostart != nil && w.Autostart.Err() == nil {
			zone = w.Autostart.Location()
		}
	}
	n.Text = sentence(n, zone)
	return p.cfg.Notify(ctx, n)
}

// sentence says in the owner's zone what a notice is about.
func sentence(n Notice, zone *time.Location) string {
	name := "workspace " + n.WorkspaceID.String()
	if n.Workspace != "" {
		name = text.Quoted(n.Workspace)
	}
	until := n.Until.In(zone).Format("Mon 2 Jan 15:04 MST")
	switch n.Kind {
	case lifecycle.EventReminder:
		return name + " stops at " + until + "."
	case lifecycle.EventDormant:
		if n.Until.IsZero() {
			return name + " was not used for a long time and is dormant now: it no longer starts by itself."
		}
		return name + " was not used for a long time and is dormant now: it will be deleted at " + until + " unless it is used."
	case lifecycle.EventDeletionMoved:
		if n.Until.IsZero() {
			return name + " is dormant and will no longer be deleted."
		}
		return name + " is dormant and will be deleted at " + until + "."
	case lifecycle.EventDeletionHeld:
		return name + " was to be deleted, and is not yet: too many are deleted at once."
	case lifecycle.EventStartMissed:
		return name + " was not started at " + n.DueAt.In(zone).Format("Mon 2 Jan 15:04 MST") + ", since it would have been too late."
	case lifecycle.EventUpdated:
		return name + " starts with another version of its template."
	case lifecycle.EventBuildFailed:
		return fmt.Sprintf("The %s of %s failed%s.", n.Transition, name, because(n.Message))
	case lifecycle.EventNeedsAttention:
		return fmt.Sprintf("%s needs attention: the %s failed again and again%s.", name, n.Transition, because(n.Message))
	}
	return fmt.Sprintf("%s: %s%s.", name, n.Kind, because(n.Message))
}

func because(message string) string {
	if message == "" {
		return ""
	}
	return ": " + text.Quoted(message)
}
