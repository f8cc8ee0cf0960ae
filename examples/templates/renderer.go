package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/rendercache"
)

type (
	key    = rendercache.Key
	result = rendercache.Result[*rendered]
)

// renderer is the two-level memo: parsed templates by version, for as long as somebody uses them, under results by
// version, owner and parameters, for as long as they are asked for and the budget lasts.
type renderer struct {
	parsed  *rendercache.Handles[uuid.UUID, *template]
	results *rendercache.Cache[key, *rendered]

	mu      sync.Mutex // guards the "database"
	sources map[uuid.UUID][]byte
	users   map[uuid.UUID]user

	archive time.Duration // how long it takes to read a source

	parses, renders atomic.Int64
}

func newRenderer(budget int64, log *rendercache.KeyLog, logger *slog.Logger) (*renderer, error) {
	r := &renderer{sources: map[uuid.UUID][]byte{}, users: map[uuid.UUID]user{}}
	var err error
	if r.parsed, err = rendercache.NewHandles(rendercache.HandlesConfig[uuid.UUID, *template]{Logger: logger}); err != nil {
		return nil, err
	}
	r.results, err = rendercache.New(rendercache.Config[key, *rendered]{
		MaxAge:    12 * time.Hour, // owners are people, and not every change of them is announced
		MaxWeight: budget,
		Weigh:     func(_ key, v *rendered) int64 { return v.size() },
		ErrorTTL:  rememberInvalid,
		KeyLog:    log,
		Logger:    logger,
	})
	return r, err
}

// rememberInvalid says which failures are worth remembering: those that come again until somebody changes something.
func rememberInvalid(err error) time.Duration {
	var invalid *invalidError
	if errors.As(err, &invalid) {
		return 10 * time.Minute
	}
	return 0
}

func (r *renderer) close() {
	r.results.Close()
	r.parsed.Close()
}

// render returns the template rendered for an owner with parameters. All that is slow is inside the function, so a hit
// reads neither the source nor the owner.
func (r *renderer) render(ctx context.Context, version, owner uuid.UUID, params map[string]string) (result, error) {
	return r.results.Do(ctx, rendercache.Request[key, *rendered]{
		Key:    rendercache.KeyOf(version, owner, params),
		Params: params,
		Render: func(ctx context.Context) (*rendered, error) {
			r.renders.Add(1)
			handle, err := r.hold(ctx, version)
			if err != nil {
				return nil, err
			}
			defer handle.Release()
			return handle.Value().evaluate(r.user(owner), params)
		},
	})
}

// hold keeps a version's parsed form. A form that somebody is typing into holds it for as long as it is open; a render
// holds it for itself in any case.
func (r *renderer) hold(ctx context.Context, version uuid.UUID) (*rendercache.Handle[*template], error) {
	return r.parsed.Acquire(ctx, version, func(context.Context) (*template, error) {
		r.parses.Add(1)
		time.Sleep(r.archive)
		source, ok := r.source(version)
		if !ok {
			return nil, fmt.Errorf("template version %s: not found", version)
		}
		return parse("box.hcl", source)
	})
}

func (r *renderer) source(version uuid.UUID) ([]byte, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, ok := r.sources[version]
	return s, ok
}

func (r *renderer) user(id uuid.UUID) user {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.users[id]
}

// publish adds a template version.
func (r *renderer) publish(source []byte) uuid.UUID {
	version := uuid.New()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sources[version] = source
	return version
}

// setUser writes an owner's data, and then says so to the cache.
func (r *renderer) setUser(id uuid.UUID, u user) {
	r.mu.Lock()
	r.users[id] = u
	r.mu.Unlock()
	r.results.InvalidateOwner(id)
}
