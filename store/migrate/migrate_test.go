package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store/migrate"
)

// tables is a database that understands texts like "record 2 1".
type tables struct {
	have migrate.Applied
	log  []string
	// during runs when the lock is taken.
	during func()
}

func (d *tables) Applied(context.Context) (migrate.Applied, error) { return d.have, nil }

func (d *tables) Exec(_ context.Context, text string) error {
	var now migrate.Applied
	if _, err := fmt.Sscanf(text, "record %d %d", &now.Version, &now.MinReader); err != nil {
		return err
	}
	d.log = append(d.log, text)
	d.have = migrate.Applied{Version: max(d.have.Version, now.Version), MinReader: max(d.have.MinReader, now.MinReader)}
	return nil
}

func (d *tables) Exclusively(_ context.Context, f func(migrate.Tx) error) error {
	if d.during != nil {
		d.during()
	}
	was := *d
	err := f(d)
	if err != nil {
		*d = was
	}
	return err
}

func set(t *testing.T, texts ...string) *migrate.Set {
	t.Helper()
	files := fstest.MapFS{}
	for i, text := range texts {
		files[fmt.Sprintf("%05d_x.sql", i+1)] = &fstest.MapFile{Data: []byte(text)}
	}
	s, err := migrate.Load(files, "tables x_*", strings.ToLower)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestMigrate(t *testing.T) {
	s := set(t, "RECORD 1 1", "RECORD 2 1", "RECORD 3 3")
	if s.Version() != 3 {
		t.Errorf("version %d, want 3", s.Version())
	}
	for from, want := range map[int]string{0: "record 1 1,record 2 1,record 3 3", 1: "record 2 1,record 3 3", 3: ""} {
		db := &tables{have: migrate.Applied{Version: from, MinReader: min(from, 1)}}
		if err := s.Migrate(t.Context(), db); err != nil || strings.Join(db.log, ",") != want {
			t.Errorf("from %d: applied %v, error %v; want %s", from, db.log, err, want)
		}
	}
	db := &tables{}
	db.during = func() { db.have = migrate.Applied{Version: 3, MinReader: 3} }
	if err := s.Migrate(t.Context(), db); err != nil || db.log != nil {
		t.Errorf("applied %v, error %v after another process had migrated", db.log, err)
	}
}

func TestMigrationThatDoesNotRecordItself(t *testing.T) {
	for _, texts := range [][]string{{"record 1 1", "record 1 1"}, {"record 1 0"}, {"record 1 2"}, {"record 2 1"}, {"record 1 1", "nonsense"}} {
		db := &tables{}
		if err := set(t, texts...).Migrate(t.Context(), db); err == nil || db.have.Version != 0 {
			t.Errorf("%q: error %v and version %d, want an error and nothing done", texts, err, db.have.Version)
		}
	}
}

// Tables ahead of the code are worked on as long as they say that it does no harm.
func TestTablesAheadOfTheCode(t *testing.T) {
	s := set(t, "record 1 1", "record 2 1")
	for _, c := range []struct {
		have migrate.Applied
		want string // in the error, "" for none
	}{
		{migrate.Applied{}, "call Migrate"},
		{migrate.Applied{Version: 1, MinReader: 1}, "call Migrate"},
		{migrate.Applied{Version: 2, MinReader: 1}, ""},
		{migrate.Applied{Version: 9, MinReader: 2}, ""},
		{migrate.Applied{Version: 9, MinReader: 3}, "newer release"},
	} {
		err := s.Check(c.have)
		var version *migrate.VersionError
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%+v: error %v", c.have, err)
		case c.want != "" && (!errors.As(err, &version) || !errors.Is(err, lifecycle.ErrUnavailable) || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%+v: error %v, want a VersionError that says %q", c.have, err, c.want)
		}
		if db := (&tables{have: c.have}); c.have.Version > 2 {
			if got := s.Migrate(t.Context(), db); (got == nil) != (c.want == "") || db.log != nil {
				t.Errorf("%+v: Migrate returned %v and applied %v", c.have, got, db.log)
			}
		}
	}
}

func TestNumbersWithoutGaps(t *testing.T) {
	for _, name := range []string{"00002_x.sql", "x.sql", "00000_x.sql"} {
		if _, err := migrate.Load(fstest.MapFS{name: {}}, "x", nil); err == nil {
			t.Errorf("a set of %s alone is loaded", name)
		}
	}
}

func TestFiles(t *testing.T) {
	files, err := set(t, "RECORD 1 1").Files()
	if err != nil {
		t.Fatal(err)
	}
	if err := fstest.TestFS(files, "00001_x.sql"); err != nil {
		t.Error(err)
	}
}
