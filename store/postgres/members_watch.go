package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/dormouse-go/dormouse/prewarm"
)

var _ prewarm.Watcher = (*Store)(nil)

func (s *Store) memberChannel() string { return s.cfg.Schema + "_members" }

// AnnounceMembers implements [prewarm.Watcher]. It is a statement of its own: notifications take a lock of the whole
// database at their commit.
func (s *Store) AnnounceMembers(ctx context.Context, pool, note string) error {
	message := pool
	if note != "" {
		message += "\n" + note
	}
	err := s.do(ctx, repeatable, func(ctx context.Context) error {
		_, err := s.db.Exec(ctx, `SELECT pg_notify($1, $2)`, s.memberChannel(), message)
		return err
	})
	if err != nil {
		return fmt.Errorf("announce members of pool %q: %w", pool, err)
	}
	return nil
}

// WatchMembers implements [prewarm.Watcher]. It keeps one connection for listening.
func (s *Store) WatchMembers(ctx context.Context, pool string, hear func(note string)) error {
	if err := s.check(ctx); err != nil {
		return err
	}
	return listen(ctx, s.cfg.Direct, s.memberChannel(), func() { hear("") }, func(message string) {
		if announced, note, _ := strings.Cut(message, "\n"); announced == pool {
			hear(note)
		}
	})
}
