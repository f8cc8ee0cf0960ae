package acquirer_test

import (
	"context"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// retries puts a job that is over back into line.
func (m *model) retries(t *rapid.T) {
	var over []uuid.UUID
	for _, j := range m.jobs() {
		if j.State.Final() {
			over = append(over, j.ID)
		}
	}
	if len(over) == 0 {
		t.Skip("nothing is over")
	}
	id, p := rapid.SampledFrom(over).Draw(t, "job"), m.aProcess(t)
	p.calls.Go(func() {
		m.insist(func(ctx context.Context) error {
			_, err := p.Retry(ctx, "ann", "", id)
			return err
		})
	})
}

func (m *model) scope(t *rapid.T) queue.Scope {
	return queue.Scope{
		Organization: rapid.SampledFrom(append(m.orgs, uuid.Nil)).Draw(t, "organization"),
		Type:         rapid.SampledFrom([]string{"", "build", "scan"}).Draw(t, "type"),
	}
}

// pauses keeps jobs from being handed out, for some time or until somebody resumes.
func (m *model) pauses(t *rapid.T) {
	p := queue.Pause{Scope: m.scope(t)}
	if d := rapid.IntRange(0, 3).Draw(t, "seconds"); d > 0 {
		p.Until = time.Now().Add(time.Duration(d) * time.Second)
	}
	process := m.aProcess(t)
	process.calls.Go(func() {
		m.insist(func(ctx context.Context) error { return process.Pause(ctx, p) })
	})
	// Its end is known to the process that began it, and to others when they look.
	m.crashed = m.crashed || !p.Until.IsZero()
}

func (m *model) resumes(t *rapid.T) {
	scope, p := m.scope(t), m.aProcess(t)
	p.calls.Go(func() {
		m.insist(func(ctx context.Context) error {
			_, err := p.Resume(ctx, scope)
			return err
		})
	})
}

// resumeAll lifts what is paused; nothing else moves meanwhile.
func (m *model) resumeAll(t *rapid.T) {
	pauses, err := m.store.Pauses(context.Background(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	p := m.processes[0]
	for _, pause := range pauses {
		if was, err := p.Resume(m.ctx, pause.Scope); err != nil || !was {
			t.Fatalf("resume %+v: %v, %v", pause.Scope, was, err)
		}
	}
}

// promises: nobody has promised a store what was not so.
func (m *model) promises(t *rapid.T) {
	for _, p := range m.processes {
		for _, broken := range p.store.Broken() {
			t.Fatal(broken)
		}
	}
}
