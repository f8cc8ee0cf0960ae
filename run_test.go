package dormouse_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store"
	"github.com/dormouse-go/dormouse/store/memory"
	"github.com/dormouse-go/dormouse/store/migrate"
)

// ailing is a store that fails when it is asked first.
type ailing struct {
	store.Store
	failures []error
	asked    int
}

func (a *ailing) NextWake(ctx context.Context, s lifecycle.Shard) (time.Time, error) {
	if a.asked++; a.asked <= len(a.failures) {
		return time.Time{}, a.failures[a.asked-1]
	}
	return a.Store.NextWake(ctx, s)
}

var errUnreachable = fmt.Errorf("dial: %w", lifecycle.ErrUnavailable)

// What time cannot heal ends Run before anything loops.
func TestRunReturnsWhatTimeCannotHeal(t *testing.T) {
	for name, failure := range map[string]error{
		"no tables":          &migrate.VersionError{Tables: "dormouse_*", Want: 3},
		"another error":      errors.New("permission denied"),
		"wrapped, and later": fmt.Errorf("next wake: %w", &migrate.VersionError{}),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &ailing{Store: memory.New(), failures: []error{errUnreachable, failure}}
				p, err := dormouse.New(s, dormouse.Config{Logger: slog.New(slog.DiscardHandler)})
				if err != nil {
					t.Fatal(err)
				}
				if err := p.Run(t.Context()); !errors.Is(err, failure) {
					t.Errorf("Run returned %v, want %v", err, failure)
				}
			})
		})
	}
}

// A store that cannot be reached yet is waited for, and not for longer than Run lives.
func TestRunWaitsForTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &ailing{Store: memory.New(), failures: []error{errUnreachable, errUnreachable, errUnreachable}}
		p, err := dormouse.New(s, dormouse.Config{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := p.Run(ctx); err != nil {
			t.Errorf("Run returned %v", err)
		}
		if s.asked < 5 {
			t.Errorf("the store was asked %d times", s.asked)
		}

		s = &ailing{Store: memory.New(), failures: make([]error, 1000)}
		for i := range s.failures {
			s.failures[i] = errUnreachable
		}
		p, err = dormouse.New(s, dormouse.Config{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := p.Run(ctx); err != nil {
			t.Errorf("Run that ends while it waits returned %v", err)
		}
	})
}
