package sqlite

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// The errors of SQLite are distinguished by the words of the library itself, which all drivers pass on: their types and codes
// cannot be asked for without importing a driver.

// busy says that another connection holds a lock, and that it was not waited for yet.
func busy(err error) bool {
	return errors.Is(err, errRolledBack) ||
		err != nil && !errors.Is(err, lifecycle.ErrUnavailable) && (strings.Contains(err.Error(), "database is locked") || strings.Contains(err.Error(), "database table is locked"))
}

// errRolledBack is a transaction that could not be committed because of a lock, and is gone.
var errRolledBack = errors.New("rolled back for another connection's lock")

// rejects says that the row that was written is to blame, not the database.
func rejects(err error) bool {
	if err == nil || errors.Is(err, lifecycle.ErrUnavailable) {
		return false
	}
	if errors.Is(err, errNotWritten) {
		return true
	}
	text := err.Error()
	return strings.Contains(text, "constraint failed") || strings.Contains(text, "too big") || strings.Contains(text, "cannot store")
}

// referred reports whether a row of somebody else refers to one that was to be deleted.
func referred(err error) bool {
	return err != nil && strings.Contains(err.Error(), "FOREIGN KEY constraint failed")
}

// unavailable says of an error what it was about. If it is neither the end of the context nor a row that is to blame, it
// concerns the database as a whole, however SQLite calls it: closed, not a database, disk full, read-only, busy.
func unavailable(err error, doing string, args ...any) error {
	if err == nil {
		return nil
	}
	doing = fmt.Sprintf(doing, args...)
	if known(err) {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return fmt.Errorf("%s: %w: %w", doing, lifecycle.ErrUnavailable, err)
}

// known are the errors that already say what they are.
func known(err error) bool {
	var change *lifecycle.ChangeError
	var field *invalid.Error
	return errors.Is(err, lifecycle.ErrUnavailable) || errors.As(err, &change) || errors.As(err, &field) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, queue.ErrProcessLost) || errors.Is(err, lifecycle.ErrBuildActive) ||
		errors.Is(err, lifecycle.ErrStaleTemplate) || errors.Is(err, lifecycle.ErrUnreadable) || rejects(err)
}

// errNotWritten is a statement that wrote nothing where it should have.
var errNotWritten = errors.New("the row was not written")
