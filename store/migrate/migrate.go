// Package migrate is for authors of SQL stores: it brings the tables of a store to the version that its code needs, and
// says whether code may work on the tables that it finds.
//
// Migrations are SQL files, numbered from 1 without gaps and forward only, that a store embeds. Each ends with recording
// itself in a table of the store, which holds two numbers for each migration:
//
//   - version, the number of the file,
//   - min_reader, the lowest version whose code still works on the tables after it. A migration that only adds what older
//     code does not look at keeps that of the migration before; one that older code cannot live with raises it.
//
// So a replica that is still of an older release goes on while the tables are ahead of it, and refuses to as soon as it
// would do harm. A host that applies the files with a tool of its own ends with the same records.
//
// All that is missing is applied in one transaction under a lock, so replicas may migrate at the same time, and a
// migration that fails leaves nothing behind. The package knows no database: a store implements [DB].
package migrate

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// Applied is what the table of migrations says. The zero value: there is no such table.
type Applied struct {
	// Version is the highest version recorded, MinReader the highest min_reader.
	Version, MinReader int
}

// DB is a database with the tables of a store, or without.
type DB interface {
	// Applied reads the table of migrations. That there is none is no error.
	Applied(ctx context.Context) (Applied, error)
	// Exclusively runs f in a transaction that no other of its kind overlaps, in any process, and commits it if f returns
	// nil. The context bounds the wait for the others.
	Exclusively(ctx context.Context, f func(Tx) error) error
}

// Tx is the transaction of [DB].
type Tx interface {
	Applied(ctx context.Context) (Applied, error)
	// Exec runs a text of several statements.
	Exec(ctx context.Context, text string) error
}

// Set are the migrations of a store. It is immutable.
type Set struct {
	tables string
	files  []file
}

type file struct{ name, text string }

// Load reads the migrations in the root of a file system: files named like 00001_init.sql. The render function puts the
// names of the tables in, if they are not fixed; nil changes nothing. Tables says in errors whose they are.
func Load(files fs.FS, tables string, render func(string) string) (*Set, error) {
	names, err := fs.Glob(files, "*.sql") // in the order of their names
	if err != nil {
		return nil, fmt.Errorf("load migrations: %w", err)
	}
	s := &Set{tables: tables}
	for i, name := range names {
		number, _, _ := strings.Cut(name, "_")
		if n, err := strconv.Atoi(number); err != nil || n != i+1 {
			return nil, fmt.Errorf("load migrations: %s must have number %d", name, i+1)
		}
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, fmt.Errorf("load migrations: %w", err)
		}
		f := file{name, string(text)}
		if render != nil {
			f.text = render(f.text)
		}
		s.files = append(s.files, f)
	}
	return s, nil
}

// Version is the number of the last migration: what the code of the store is written for.
func (s *Set) Version() int { return len(s.files) }

// Files returns the migrations as a file system, for hosts that run them with a tool of their own.
func (s *Set) Files() (fs.FS, error) {
	// An archive in memory is the standard library's way to hold files that exist nowhere.
	var buffer bytes.Buffer
	archive := zip.NewWriter(&buffer)
	for _, f := range s.files {
		w, err := archive.Create(f.name)
		if err != nil {
			return nil, err
		}
		if _, err := w.Write([]byte(f.text)); err != nil {
			return nil, err
		}
	}
	if err := archive.Close(); err != nil {
		return nil, err
	}
	return zip.NewReader(bytes.NewReader(buffer.Bytes()), int64(buffer.Len()))
}

// Check returns nil if the code of the store may work on the tables, else a [*VersionError].
func (s *Set) Check(have Applied) error {
	if have.Version >= s.Version() && have.MinReader <= s.Version() {
		return nil
	}
	return &VersionError{Tables: s.tables, Have: have, Want: s.Version()}
}

// Migrate applies what is missing and returns the error of [Set.Check]: tables that are newer are left as they are.
func (s *Set) Migrate(ctx context.Context, db DB) error {
	have, err := db.Applied(ctx)
	if err == nil && have.Version < s.Version() {
		err = db.Exclusively(ctx, func(tx Tx) (err error) {
			have, err = s.advance(ctx, tx)
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("migrate %s: %w", s.tables, err)
	}
	return s.Check(have)
}

func (s *Set) advance(ctx context.Context, tx Tx) (Applied, error) {
	have, err := tx.Applied(ctx)
	for err == nil && have.Version < s.Version() {
		next, f := have.Version+1, s.files[have.Version]
		if err = tx.Exec(ctx, f.text); err != nil {
			return have, fmt.Errorf("%s: %w", f.name, err)
		}
		have, err = tx.Applied(ctx)
		if err == nil && (have.Version != next || have.MinReader < 1 || have.MinReader > next) {
			return have, fmt.Errorf("%s recorded version %d and min_reader %d", f.name, have.Version, have.MinReader)
		}
	}
	return have, err
}

// VersionError says that the tables are not ones that this version of the library works with. It concerns the store as a
// whole, and so is a [lifecycle.ErrUnavailable].
type VersionError struct {
	// Tables says whose they are.
	Tables string
	Have   Applied
	// Want is the version of the code.
	Want int
}

// Error implements error.
func (e *VersionError) Error() string {
	switch {
	case e.Have.Version == 0:
		return fmt.Sprintf("%s: there are no tables: call Migrate", e.Tables)
	case e.Have.Version < e.Want:
		return fmt.Sprintf("%s: the tables have version %d, this library needs %d: call Migrate", e.Tables, e.Have.Version, e.Want)
	}
	return fmt.Sprintf("%s: the tables have version %d, which needs a library of version %d or later, this one is %d: use a newer release",
		e.Tables, e.Have.Version, e.Have.MinReader, e.Want)
}

// Is makes errors.Is(err, [lifecycle.ErrUnavailable]) true.
func (e *VersionError) Is(target error) bool { return target == lifecycle.ErrUnavailable }
