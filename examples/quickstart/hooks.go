package main

import (
	"context"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
)

// build is the executor's builder. A control plane would check quotas and parameters here and choose the workers; the
// replay only listens, because nobody else sees a workspace at the moment of its decision.
func (r *replay) build(_ context.Context, b executor.BuildRequest) (executor.BuildSpec, error) {
	if b.Decision.Acts() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.tellBuild(&b)
	}
	return executor.BuildSpec{}, nil
}

// audit receives what happened.
func (r *replay) audit(_ context.Context, e lifecycle.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ledger.audit(&e)
	return nil
}

// notify receives what people are told.
func (r *replay) notify(_ context.Context, e lifecycle.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ledger.events[e.Kind]++
	if d := r.byID[e.WorkspaceID]; e.Kind == lifecycle.EventReminder {
		d.reminder = e.Until
	}
	return nil
}
