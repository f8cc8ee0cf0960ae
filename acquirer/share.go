package acquirer

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// defaultShare is what [Config.Share] is by default.
const defaultShare = 0.5

// shared makes calls of the store that somebody asks for on behalf of an organization, in its share; nil is the operator, whom
// nothing holds back. It must not be called within itself.
func shared[T any](ctx context.Context, a *Acquirer, organization *uuid.UUID, operation string, do func() (T, error)) (answer T, err error) {
	if organization == nil {
		return do()
	}
	use, err := a.shares.Enter(ctx, *organization)
	if err != nil {
		return answer, fmt.Errorf("acquirer: %s: %w", operation, err)
	}
	defer use.Leave()
	if use.Delayed > 0 {
		a.metrics.delayed(operation)
	}
	return do()
}

// linger lets an answer wait while an organization is beyond its share: what was asked is done, and the next question comes later.
func (a *Acquirer) linger(ctx context.Context, organization uuid.UUID, operation string) {
	if d := min(a.shares.Pause(organization), maxLinger); d > 0 {
		a.metrics.delayed(operation)
		a.shares.Delay(organization)
		a.pause(ctx, d, "share")
	}
}

// spendOn counts a call for several organizations, to each by its part.
func (a *Acquirer) spendOn(took time.Duration, parts map[uuid.UUID]int) {
	eachPart(took, parts, a.shares.Spend)
}

// eachPart tells what a call took for each of several organizations.
func eachPart(took time.Duration, parts map[uuid.UUID]int, tell func(uuid.UUID, time.Duration)) {
	all := 0
	for _, n := range parts {
		all += n
	}
	for id, n := range parts {
		tell(id, took*time.Duration(n)/time.Duration(all))
	}
}

// partsOf are the parts of a call that stores reports.
func partsOf(renewals []queue.Renewal) map[uuid.UUID]int {
	const each = 1 << 10 // what a report weighs beside its lines
	parts := make(map[uuid.UUID]int, 1)
	for _, r := range renewals {
		parts[r.Organization] += each + bytesOf(r.Lines)
	}
	return parts
}

// lanesOf are the parts of a look at organizations: each counts for itself and for each of its lanes.
func lanesOf(ids []uuid.UUID, lanes []queue.ReadyLane) map[uuid.UUID]int {
	parts := make(map[uuid.UUID]int, len(ids))
	for _, id := range ids {
		parts[id]++
	}
	for _, l := range lanes {
		parts[l.Lane.Organization]++
	}
	return parts
}
