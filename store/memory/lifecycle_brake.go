package memory

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store"
)

var (
	_ lifecycle.Braker     = (*Store)(nil)
	_ lifecycle.Settler    = (*Store)(nil)
	_ lifecycle.Subscriber = (*Store)(nil)
)

// ticking is what is known of all that tick: when they last did, and which deletions were admitted in the window before.
type ticking struct {
	At        time.Time              `json:"at,omitzero"`
	Deletions map[uuid.UUID]deletion `json:"deletions,omitempty"` // by workspace
}

type deletion struct {
	Template uuid.UUID `json:"template"`
	At       time.Time `json:"at"`
}

// AdmitDeletions implements [lifecycle.Braker].
func (s *Store) AdmitDeletions(ctx context.Context, now time.Time, b lifecycle.Brake, due []lifecycle.DueDeletion) ([]uuid.UUID, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	released := now.Before(s.engine.DeletionsReleasedUntil)
	s.ticking.forget(b.Since(now))
	var admitted []uuid.UUID
	var asking []lifecycle.DueDeletion
	for _, d := range due {
		if _, placed := s.ticking.Deletions[d.WorkspaceID]; placed || released {
			admitted = append(admitted, d.WorkspaceID)
		} else {
			asking = append(asking, d)
		}
	}
	goes, _ := b.Admit(s.deletions(b, asking), asking)
	for _, d := range goes {
		s.ticking.admit(d, now)
		admitted = append(admitted, d.WorkspaceID)
	}
	return admitted, nil
}

// deletions counts what the brake compares.
func (s *Store) deletions(b lifecycle.Brake, due []lifecycle.DueDeletion) lifecycle.Deletions {
	counts := lifecycle.Deletions{Templates: map[uuid.UUID]lifecycle.Deletions{}}
	counts.Made = len(s.ticking.Deletions)
	counts.Workspaces = s.fleet.byID.size()
	for _, d := range due {
		counts.Templates[d.TemplateID] = lifecycle.Deletions{}
	}
	for _, d := range s.ticking.Deletions {
		if c, asked := counts.Templates[d.Template]; asked {
			c.Made++
			counts.Templates[d.Template] = c
		}
	}
	for id, c := range counts.Templates {
		c.Workspaces = s.membersOf(id, b.CountTo(c.Made+len(due)))
		counts.Templates[id] = c
	}
	return counts
}

// membersOf counts the workspaces of a template, up to a number.
func (s *Store) membersOf(template uuid.UUID, limit int) (n int) {
	row, ok := s.templates.get(template)
	if !ok {
		return 0
	}
	for slot := row.members.first; slot != none && n < limit; {
		r := s.fleet.rows.at(slot)
		if r.flags&deleted == 0 {
			n++
		}
		slot = r.ofTemplate.next
	}
	return n
}

func (t *ticking) admit(d lifecycle.DueDeletion, now time.Time) {
	if t.Deletions == nil {
		t.Deletions = map[uuid.UUID]deletion{}
	}
	t.Deletions[d.WorkspaceID] = deletion{d.TemplateID, store.Instant(now)}
}

// forget drops the deletions that no longer count.
func (t *ticking) forget(since time.Time) {
	for id, d := range t.Deletions {
		if !d.At.After(since) {
			delete(t.Deletions, id)
		}
	}
}

// Ticked implements [lifecycle.Settler].
func (s *Store) Ticked(ctx context.Context, now time.Time, interval, settle time.Duration) (time.Time, error) {
	if err := ctx.Err(); err != nil {
		return time.Time{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	until := s.engine.Settle(s.ticking.At, now, interval, settle)
	if now.After(s.ticking.At) {
		s.ticking.At = store.Instant(now)
	}
	return until, nil
}

// ChangeTopics implements [lifecycle.Subscriber].
func (s *Store) ChangeTopics(ctx context.Context, add, remove lifecycle.Topics) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.engine
	e.Topics = e.Topics&^remove | add
	if _, err := e.MarshalState(); err != nil { // it is kept in no text, but may come from one
		return wrap(err, "change topics: %w")
	}
	s.engine = e
	return nil
}
