package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store/sqlite"
)

// SQLite's errors are told apart by its words, which every driver passes on.
func TestErrorsOfSQLite(t *testing.T) {
	type judged struct{ busy, rejected, known bool }
	row, lock := judged{rejected: true, known: true}, judged{busy: true}
	for text, want := range map[string]judged{
		"database is locked (5) (SQLITE_BUSY)":                           lock,
		"database table is locked: dormouse_jobs":                        lock,
		"constraint failed: NOT NULL constraint failed: dormouse_jobs.a": row,
		"CHECK constraint failed: state":                                 row,
		"string or blob too big (18)":                                    row,
		"cannot store TEXT value in INTEGER column dormouse_jobs.state":  row,
		"disk I/O error":                       {},
		"database disk image is malformed":     {},
		"attempt to write a readonly database": {},
	} {
		err := errors.New(text)
		var got judged
		if got.busy, got.rejected, got.known = sqlite.Judged(err); got != want {
			t.Errorf("%q is taken for %+v, want %+v", text, got, want)
		}
		// Once it is said that the database is to blame, nothing is tried again and no row is.
		gone := fmt.Errorf("%w: %w", lifecycle.ErrUnavailable, err)
		if got.busy, got.rejected, got.known = sqlite.Judged(gone); got != (judged{known: true}) {
			t.Errorf("%q that is unavailable is taken for %+v", text, got)
		}
	}
	if busy, rejected, _ := sqlite.Judged(nil); busy || rejected {
		t.Error("no error is taken for one")
	}
}

// What says by itself what it is says nothing of the database. All else does, with what was done.
func TestErrorsOfCalls(t *testing.T) {
	for _, err := range []error{
		context.Canceled, context.DeadlineExceeded, queue.ErrProcessLost, lifecycle.ErrBuildActive, lifecycle.ErrStaleTemplate,
		&lifecycle.ChangeError{Err: errors.New("e")}, invalid.New("Field", 1, "must be 2"), errors.New("UNIQUE constraint failed: a.b"),
	} {
		got := sqlite.Unavailable(fmt.Errorf("while: %w", err))
		if errors.Is(got, lifecycle.ErrUnavailable) || !errors.Is(got, err) || !strings.HasPrefix(got.Error(), "do 2 things: while: ") {
			t.Errorf("%v becomes %v", err, got)
		}
	}
	cause := errors.New("disk I/O error")
	got := sqlite.Unavailable(cause)
	if !errors.Is(got, lifecycle.ErrUnavailable) || !errors.Is(got, cause) || !strings.HasPrefix(got.Error(), "do 2 things: ") {
		t.Errorf("%v becomes %v", cause, got)
	}
	if again := sqlite.Unavailable(got); strings.Count(again.Error(), lifecycle.ErrUnavailable.Error()) != 1 {
		t.Errorf("it is said twice: %v", again)
	}
	if err := sqlite.Unavailable(nil); err != nil {
		t.Errorf("no error becomes %v", err)
	}
}
