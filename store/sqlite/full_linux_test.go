package sqlite_test

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// A file that may not grow, as with a quota, is named; what was acknowledged is there, and when it may grow again, all goes on.
func TestFileThatMayNotGrow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dormouse.db")
	s := migrated(t, openFile(t, path))
	var before syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before))
	restore := func() { must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before)) }
	defer restore()
	must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 1 << 20, Max: before.Max}))
	var ids []uuid.UUID
	put := func() error {
		o := lifecycle.Owner{ID: uuid.New(), Name: strings.Repeat("x", 100)}
		err := s.PutOwner(t.Context(), killEpoch, o)
		if err == nil {
			ids = append(ids, o.ID)
		}
		return err
	}
	var err error
	for err == nil && len(ids) < 10_000 {
		err = put()
	}
	wantUnavailable(t, err, path, "I/O")
	restore()
	must(t, put())
	if n := owners(t, s, ids); n != len(ids) || n < 2 {
		t.Errorf("%d owners of %d acknowledged", n, len(ids))
	}
}
