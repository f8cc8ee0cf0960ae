package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/store/sqlite"
)

// TestBusyAnywhere has another connection be in the way of every statement and row of a call, one after the other. Without a
// write-ahead log it may be at any point. The call makes its transaction again, and answers as if nothing had been.
func TestBusyAnywhere(t *testing.T) {
	s, d, _ := faulty(t)
	d.err, d.readable = errors.New("database is locked"), true
	b := &busyStore{T: t, Store: s, org: uuid.New(), process: uuid.New()}
	for name, call := range b.calls() {
		t.Run(name, func(t *testing.T) {
			b.T = t
			want, err := call()()
			must(t, err)
			for n := 1; ; n++ {
				do := call()
				ended := d.fail(n)
				got, err := do()
				if !ended() {
					return
				}
				if errors.Is(err, lifecycle.ErrUnavailable) && strings.Contains(err.Error(), "in the middle of a result") {
					continue // who has seen rows must not see them again
				}
				if err != nil || got != want {
					t.Errorf("busy at %d: %s, error %v, want %s", n, got, err, want)
				}
			}
		})
	}
}

type busyStore struct {
	*testing.T
	*sqlite.Store
	org, process uuid.UUID
}

// post stores some jobs and returns their ids.
func (b *busyStore) post(n int) []uuid.UUID {
	b.Helper()
	postings := make([]queue.Posting, n)
	for i := range postings {
		postings[i] = queue.Posting{Organization: b.org, Type: "build"}
	}
	jobs, err := b.Enqueue(b.Context(), killEpoch, postings)
	must(b.T, err)
	ids := make([]uuid.UUID, n)
	for i := range jobs {
		ids[i] = jobs[i].ID
	}
	return ids
}

// ended stores some jobs that are over.
func (b *busyStore) ended(n int) []uuid.UUID {
	b.Helper()
	ids := b.post(n)
	_, err := b.Cancel(b.Context(), queue.Cancellation{Now: killEpoch, IDs: ids})
	must(b.T, err)
	return ids
}

func (b *busyStore) prune(ctx context.Context) (int, error) {
	return b.PruneJobs(ctx, killEpoch.Add(time.Hour), 1000)
}

// calls are each a preparation, which returns the call itself.
func (b *busyStore) calls() map[string]func() func() (string, error) {
	ctx := b.Context()
	said := func(v any, err error) (string, error) { return fmt.Sprint(v), err }
	_, err := b.Heartbeat(ctx, queue.Heartbeat{Process: b.process, Now: killEpoch})
	must(b.T, err)
	never, kept := uuid.New(), seed(b.T, b.Store, 3)
	_, err = b.Enqueue(ctx, killEpoch, []queue.Posting{{Organization: never, Type: "a"}, {Organization: never, Type: "b"}})
	must(b.T, err)
	return map[string]func() func() (string, error){
		"Enqueue": func() func() (string, error) {
			return func() (string, error) { return said(len(b.post(12)), nil) }
		},
		"ListJobs": func() func() (string, error) {
			return func() (string, error) { return said(b.ListJobs(ctx, queue.JobQuery{Organization: never})) }
		},
		"CountJobs": func() func() (string, error) {
			return func() (string, error) { return said(b.CountJobs(ctx, queue.JobQuery{Organization: never}, 10)) }
		},
		"Ready": func() func() (string, error) {
			return func() (string, error) {
				l, err := b.Ready(ctx, killEpoch, queue.ReadyQuery{Organizations: []uuid.UUID{never}})
				return said(len(l.Lanes), err)
			}
		},
		"Cancel": func() func() (string, error) {
			ids := b.post(2)
			return func() (string, error) {
				changed, err := b.Cancel(ctx, queue.Cancellation{Now: killEpoch, IDs: ids})
				return said(len(changed), err)
			}
		},
		"RetryJobs": func() func() (string, error) {
			ids := b.ended(2)
			return func() (string, error) {
				changed, err := b.RetryJobs(ctx, queue.Retry{Now: killEpoch, IDs: ids})
				return said(len(changed), err)
			}
		},
		"PruneJobs": func() func() (string, error) {
			_, err := b.prune(ctx)
			must(b.T, err)
			ids := b.ended(2)
			return func() (string, error) {
				n, err := b.prune(ctx)
				if err != nil {
					return "", err
				}
				left, err := b.Jobs(ctx, queue.Filter{IDs: ids})
				return said(fmt.Sprint(n, " pruned, ", len(left), " left"), err)
			}
		},
		"ResumeJobs": func() func() (string, error) {
			scope := queue.Scope{Type: "build"}
			must(b.T, b.PauseJobs(ctx, queue.Pause{Scope: scope, At: killEpoch}))
			return func() (string, error) { return said(b.Store.ResumeJobs(ctx, scope)) }
		},
		"Heartbeat": func() func() (string, error) {
			return func() (string, error) {
				f, err := b.Store.Heartbeat(ctx, queue.Heartbeat{Process: b.process, Now: killEpoch})
				return said(len(f.Processes), err)
			}
		},
		"ClaimMembers": func() func() (string, error) {
			m := prewarm.Member{ID: uuid.New(), Pool: "a", State: prewarm.Ready, ReadyAt: killEpoch}
			_, err := b.PutMembers(ctx, nil, []prewarm.Change{{Member: m}})
			must(b.T, err)
			return func() (string, error) {
				grants, err := b.Store.ClaimMembers(ctx, killEpoch, prewarm.Pick{Pool: "a"}, []prewarm.Claim{{Key: m.ID.String()}})
				return said(len(grants), err)
			}
		},
		"Due": func() func() (string, error) {
			return func() (string, error) {
				due, err := b.Store.Due(ctx, lifecycle.DueQuery{Now: killEpoch, Limit: 10})
				return said(len(due), err)
			}
		},
		"Commit": func() func() (string, error) {
			found, err := b.Load(ctx, kept[0])
			must(b.T, err)
			c := lifecycle.Change{Revision: found[0].Workspace.Revision, Workspace: found[0].Workspace}
			return func() (string, error) { return said(b.Store.Commit(ctx, killEpoch, []lifecycle.Change{c})) }
		},
		"ClaimEvents": func() func() (string, error) {
			e := lifecycle.Event{Topic: lifecycle.TopicAudit, Kind: lifecycle.EventChanged, At: killEpoch, OwnerID: uuid.New()}
			must(b.T, b.Recording(e).PutOwner(ctx, killEpoch, lifecycle.Owner{ID: e.OwnerID}))
			return func() (string, error) {
				events, err := b.Store.ClaimEvents(ctx, killEpoch, []lifecycle.Topic{lifecycle.TopicAudit}, time.Hour, 10)
				return said(len(events), err)
			}
		},
	}
}
