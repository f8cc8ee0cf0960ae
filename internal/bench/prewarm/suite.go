// Package prewarm measures pools of pre-warmed members: what a plan costs, what a claim costs in memory, and what it
// costs in PostgreSQL against the least that it can.
package prewarm

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/bench/figure"
	"github.com/dormouse-go/dormouse/prewarm"
)

// Suite is the part of package prewarm.
var Suite = figure.Suite{Name: "prewarm", Run: run}

func run(ctx context.Context, r *figure.Recorder) error {
	for _, part := range []struct {
		name string
		run  func(context.Context, *figure.Recorder) error
	}{
		{"plan", runPlan},
		{"memory", runMemory},
		{"claim", runPostgres},
	} {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !r.Wants("prewarm/" + part.name) {
			continue
		}
		if err := part.run(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

const poolName = "go-dev"

var now = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// ready returns n members that became ready one after the other, each with a life of its own.
func ready(n int) []prewarm.Member {
	members := make([]prewarm.Member, n)
	for i := range members {
		id := uuid.Must(uuid.NewV7())
		at := now.Add(time.Duration(i-n) * time.Millisecond)
		members[i] = prewarm.Member{
			ID: id, Resource: id, Pool: poolName, Version: "v1", State: prewarm.Ready, Reason: prewarm.ReasonReady,
			CreatedAt: at.Add(-time.Minute), ReadyAt: at, Deadline: at.Add(24 * time.Hour),
		}
	}
	return members
}

// insert puts members in batches.
func insert(ctx context.Context, s prewarm.Store, members []prewarm.Member) error {
	for batch := range slices.Chunk(members, 1000) {
		changes := make([]prewarm.Change, len(batch))
		for i, m := range batch {
			changes[i].Member = m
		}
		if _, err := s.PutMembers(ctx, nil, changes); err != nil {
			return err
		}
	}
	return nil
}
