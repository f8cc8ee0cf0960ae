package executor

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/dormouse-go/dormouse/internal/text"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// CommitWith commits changes that verbs have returned by a function of the caller's, which writes something beside them in
// the same commit; that is what it is for. Events that nobody receives are left out, and what was applied is announced, as
// [Client.Update] does. The changes make no builds. The outcomes, one for each change, are those of the function, and so is
// the error.
func (c *Client) CommitWith(
	ctx context.Context, now time.Time, changes []lifecycle.Change,
	commit func(context.Context, time.Time, []lifecycle.Change) ([]lifecycle.Outcome, error),
) ([]lifecycle.Outcome, error) {
	changes = slices.Clone(changes)
	for i := range changes {
		changes[i].Events = c.wanted().Filter(changes[i].Events)
	}
	outcomes, err := commit(ctx, now, changes)
	if err != nil {
		return nil, err
	}
	if len(outcomes) != len(changes) {
		return nil, fmt.Errorf("commit of %s: %s", text.Count(len(changes), "change", "changes"), text.Count(len(outcomes), "outcome", "outcomes"))
	}
	var written lifecycle.Topics
	for i := range changes {
		if outcomes[i] == lifecycle.Applied {
			written |= topicsOf(changes[i].Events)
		}
	}
	c.committed(ctx, written, nil)
	c.signals.changed()
	return outcomes, nil
}
