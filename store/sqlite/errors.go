package sqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// SQLite's result codes: primary ones, and extended ones that say more.
const (
	codeError        = 1
	codeBusy         = 5
	codeLocked       = 6
	codeReadOnly     = 8
	codeTooBig       = 18
	codeConstraint   = 19
	codeMismatch     = 20
	codeBusySnapshot = codeBusy | 2<<8
	codeForeignKey   = codeConstraint | 3<<8
	primaryCode      = 0xff
)

// codeOf is the result code of an error. Drivers are not imported, so it is that of those whose errors have this method, as modernc.org/sqlite's
// do. Of others SQLite's words are what there is.
func codeOf(err error) (code int, ok bool) {
	var coded interface{ Code() int }
	if ok = errors.As(err, &coded); ok {
		code = coded.Code()
	}
	return code, ok
}

// has reports whether an error has one of some primary codes or, without a code, one of some words.
func has(err error, codes []int, words ...string) bool {
	if err == nil {
		return false
	}
	if code, ok := codeOf(err); ok {
		return slices.Contains(codes, code&primaryCode)
	}
	return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(err.Error(), w) })
}

// busy says that another connection holds a lock, and that it was not waited for yet.
func busy(err error) bool {
	return errors.Is(err, errRolledBack) ||
		!errors.Is(err, lifecycle.ErrUnavailable) && has(err, []int{codeBusy, codeLocked}, "database is locked", "database table is locked")
}

// errRolledBack is a transaction that could not be committed because of a lock, and is gone.
var errRolledBack = errors.New("rolled back for another connection's lock")

// rejects says that the row that was written is to blame, not the database.
func rejects(err error) bool {
	if err == nil || errors.Is(err, lifecycle.ErrUnavailable) {
		return false
	}
	return errors.Is(err, errNotWritten) || errors.Is(err, errFailed) ||
		has(err, []int{codeConstraint, codeTooBig, codeMismatch}, "constraint failed", "too big", "cannot store", "datatype mismatch")
}

// referred reports whether a row of somebody else refers to one that was to be deleted.
func referred(err error) bool {
	if code, ok := codeOf(err); ok {
		return code == codeForeignKey
	}
	return err != nil && strings.Contains(err.Error(), "FOREIGN KEY constraint failed")
}

// stale reports whether SQLite refuses the lock for good, where a driver tells it apart.
func stale(err error) bool {
	if code, ok := codeOf(err); ok {
		return code == codeBusySnapshot
	}
	return busy(err) && strings.Contains(err.Error(), "517")
}

// readOnly reports whether the file, or the connection, may not be written.
func readOnly(err error) bool { return has(err, []int{codeReadOnly}, "readonly database") }

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

// errFailed is a statement that is sound and failed all the same: a trigger of the host did, over what is in the row.
var errFailed = errors.New("what belongs to the row failed")

// errNotWritten is a statement that wrote nothing where it should have.
var errNotWritten = errors.New("the row was not written")
