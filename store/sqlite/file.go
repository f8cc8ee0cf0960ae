package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync/atomic"
	"syscall"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// file is the file of the database as it was when the store began to use it.
type file struct {
	path string
	info fs.FileInfo
	// seen says which of the files beside it were there at any time.
	seen [len(besides)]atomic.Bool
}

// besides are what SQLite keeps beside a file that has a write-ahead log, as long as a connection has it open.
var besides = [...]string{"-wal", "-shm"}

// SQLite does not notice either with a write-ahead log. What it would commit would be where nobody finds it.
var (
	errMoved   = errors.New("the file was deleted or replaced, or emptied, while it was open; put it back, or begin the process anew")
	errWithout = errors.New("a file beside it, -wal or -shm, was deleted while it was open; end all processes that have it open in order, and begin them anew")
)

// findFile finds the file of the database, nil if there is none, as in memory, or the system does not know it by its name.
func (s *Store) findFile(ctx context.Context) (*file, error) {
	var number int
	var name string
	var path sql.NullString
	err := s.db.QueryRowContext(ctx, `PRAGMA database_list`).Scan(&number, &name, &path) // the first is the main one
	if err != nil || path.String == "" {
		return nil, err
	}
	info, err := os.Stat(path.String)
	if err != nil {
		return nil, nil
	}
	f := &file{path: path.String, info: info}
	f.lacks()
	return f, nil
}

// inPlace returns an error if another file has the name now, or none.
func (f *file) inPlace() error {
	if f == nil {
		return nil
	}
	now, err := os.Stat(f.path)
	if gone(err) || err == nil && (now.Size() == 0 && f.info.Size() > 0 || !os.SameFile(now, f.info)) {
		return errMoved
	}
	return nil // of any other error SQLite will say what it means
}

// gone reports that a path leads to nothing: no file is there, or a file where there was a directory.
func gone(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) }

// lacks reports whether one of the files beside it has gone.
func (f *file) lacks() (lacks bool) {
	for i, suffix := range besides {
		_, err := os.Stat(f.path + suffix)
		lacks = lacks || gone(err) && f.seen[i].Load()
		if err == nil {
			f.seen[i].Store(true)
		}
	}
	return lacks
}

// whole returns an error if a file has gone that SQLite keeps beside its own: other processes would begin without what is in it. It is for
// transactions that hold the write lock, since without a connection SQLite puts these files away. Where the journal was changed, or one
// process has the file for itself, they are not needed.
func (t *tx) whole() error {
	f := t.s.file.Load()
	if f == nil || !f.lacks() {
		return nil
	}
	var journal, locking string
	err := t.tx.QueryRowContext(t.ctx, `PRAGMA journal_mode`).Scan(&journal)
	if err == nil {
		err = t.tx.QueryRowContext(t.ctx, `PRAGMA locking_mode`).Scan(&locking)
	}
	if err == nil && journal == "wal" && locking == "normal" {
		err = errWithout
	}
	return err
}

// ofFile adds the name of the file to an error that is about the database as a whole.
func (s *Store) ofFile(err error) error {
	f := s.file.Load()
	switch {
	case err == nil || f == nil:
		return err
	case errors.Is(err, lifecycle.ErrUnavailable):
		return fmt.Errorf("%s: %w", f.path, err)
	case known(err):
		return err
	}
	return fmt.Errorf("%w: %s: %w", lifecycle.ErrUnavailable, f.path, err)
}

// outlived says that the connection cannot write, and that another one may: one that was opened when the file could not be written
// stays so for ever. A database in memory is its connection.
func (s *Store) outlived(err error) bool {
	return s.file.Load() != nil && readOnly(err)
}
