package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dormouse-go/dormouse/store/sqlite"
)

// errorsOfTheDriver are errors as the driver makes them, by what they are.
func errorsOfTheDriver(t *testing.T) map[string]error {
	t.Helper()
	path := filepath.Join(t.TempDir(), "host.db")
	db := openFile(t, path)
	ctx := t.Context()
	conn := func() *sql.Conn {
		c, err := db.Conn(ctx)
		must(t, err)
		_, err = c.ExecContext(ctx, `PRAGMA busy_timeout = 0`)
		must(t, err)
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	one, other := conn(), conn()
	fail := func(c *sql.Conn, text string) error {
		t.Helper()
		_, err := c.ExecContext(ctx, text)
		if err == nil {
			t.Errorf("%s is done", text)
		}
		return err
	}
	run := func(c *sql.Conn, text string) {
		t.Helper()
		_, err := c.ExecContext(ctx, text)
		must(t, err)
	}
	run(one, `CREATE TABLE a (id INTEGER PRIMARY KEY, n INTEGER NOT NULL UNIQUE CHECK (n < 5)) STRICT;
		CREATE TABLE b (id INTEGER REFERENCES a); CREATE TABLE c (id INTEGER REFERENCES a DEFERRABLE INITIALLY DEFERRED);
		CREATE TABLE d (text TEXT);
		CREATE TRIGGER d BEFORE INSERT ON d BEGIN SELECT CASE new.text
			WHEN 'abort' THEN RAISE(ABORT, 'kept by the host') WHEN 'locked' THEN RAISE(ABORT, 'database is locked') END; END;
		INSERT INTO a VALUES (1, 1)`)
	found := map[string]error{
		"not null": fail(one, `INSERT INTO a (id) VALUES (2)`), "check": fail(one, `INSERT INTO a VALUES (2, 7)`),
		"unique": fail(one, `INSERT INTO a VALUES (2, 1)`), "primary key": fail(one, `INSERT INTO a VALUES (1, 2)`),
		"type": fail(one, `INSERT INTO a VALUES (2, 'x')`), "rowid": fail(one, `INSERT INTO b (rowid) VALUES ('x')`),
		"reference": fail(one, `INSERT INTO b VALUES (7)`), "trigger": fail(one, `INSERT INTO d VALUES ('abort')`),
		"trigger of other words": fail(one, `INSERT INTO d VALUES ('locked')`), "too big": fail(one, `INSERT INTO d VALUES (zeroblob(2000000000))`),
		"no table": fail(one, `INSERT INTO e VALUES (1)`),
	}
	tx, err := one.BeginTx(ctx, nil)
	must(t, err)
	_, err = tx.ExecContext(ctx, `INSERT INTO c VALUES (7)`)
	must(t, err)
	found["reference at the commit"] = tx.Commit()
	run(one, `BEGIN IMMEDIATE`)
	found["locked"] = fail(other, `BEGIN IMMEDIATE`)
	run(one, `ROLLBACK`)
	run(other, `BEGIN`)
	must(t, other.QueryRowContext(ctx, `SELECT n FROM a`).Scan(new(int)))
	run(one, `UPDATE a SET n = 3`)
	found["stale"] = fail(other, `UPDATE a SET n = 4`)
	run(other, `ROLLBACK; PRAGMA query_only = 1`)
	found["read-only"] = fail(other, `UPDATE a SET n = 4`)
	return found
}

// What the driver's errors are taken for, by their codes, and by SQLite's words where a driver tells no code.
func TestErrorsOfTheDriver(t *testing.T) {
	rejected := []string{
		"not null", "check", "unique", "primary key", "type", "rowid", "reference", "reference at the commit", "trigger", "trigger of other words", "too big",
	}
	busy := []string{"locked", "stale"}
	has := func(names []string, name string) bool {
		return strings.Contains(","+strings.Join(names, ",")+",", ","+name+",")
	}
	for name, err := range errorsOfTheDriver(t) {
		isBusy, isRejected, _ := sqlite.Judged(err)
		if isBusy != has(busy, name) || isRejected != has(rejected, name) {
			t.Errorf("%s: %v is taken for busy %t, rejected %t", name, err, isBusy, isRejected)
		}
		if refers := strings.HasPrefix(name, "reference"); sqlite.Referred(err) != refers {
			t.Errorf("%s: %v is taken for a reference: %t", name, err, !refers)
		}
		if stale := name == "stale"; sqlite.Stale(err) != stale {
			t.Errorf("%s: %v is taken for stale: %t", name, err, !stale)
		}
		if name == "trigger of other words" {
			continue // what the host says is all that there is
		}
		words := errors.New(err.Error())
		if wordsBusy, wordsRejected, _ := sqlite.Judged(words); wordsBusy != isBusy || wordsRejected != isRejected ||
			sqlite.Referred(words) != sqlite.Referred(err) || sqlite.Stale(words) != sqlite.Stale(err) {
			t.Errorf("%s: without its code %q is taken for busy %t, rejected %t", name, words, wordsBusy, wordsRejected)
		}
	}
	if isBusy, isRejected, _ := sqlite.Judged(context.Canceled); isBusy || isRejected {
		t.Error("the end of a context is taken for an error of the driver")
	}
}
