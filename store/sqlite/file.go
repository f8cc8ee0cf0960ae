package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// file is the file of the database as it was when the store began to use it.
type file struct {
	path string
	info fs.FileInfo
}

// errMoved: SQLite does not notice it with a write-ahead log. What it would commit would be in a file that nobody finds.
var errMoved = errors.New("the file was deleted or replaced while it was open; put it back, or begin the process anew")

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
	return &file{path.String, info}, nil
}

// inPlace returns an error if another file has the name now, or none.
func (f *file) inPlace() error {
	if f == nil {
		return nil
	}
	now, err := os.Stat(f.path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(now, f.info) {
		return errMoved
	}
	return nil // of any other error SQLite will say what it means
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
	return err != nil && s.file.Load() != nil && strings.Contains(err.Error(), "readonly database")
}
