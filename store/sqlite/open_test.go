package sqlite_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/dormouse-go/dormouse/store/sqlite"
)

// scripted is a driver whose answers a test writes. It has a connector of its own, or none.
type scripted struct {
	connector        *scriptedConnector
	connectors       int // how many are made before there are no more; 0 for no bound
	made             int
	open, exec, prep error
	stmt             scriptedStmt
	skips            bool // the connection leaves statements to those that are prepared
	said             []string
	closed           int
}

type scriptedStmt struct{ exec, close error }

// scriptedConnector is closed with its pool.
type scriptedConnector struct {
	*scripted
	closing error
	closes  int
}

var scriptedDrivers atomic.Int64

// register makes a driver known, under a name that is returned.
func register(d driver.Driver) string {
	name := fmt.Sprint("scripted", scriptedDrivers.Add(1))
	sql.Register(name, d)
	return name
}

// plainDriver has no connector.
type plainDriver struct{ *scripted }

func (d plainDriver) Open(string) (driver.Conn, error) { return d.conn() }

// connectorDriver has one.
type connectorDriver struct{ *scripted }

func (d connectorDriver) Open(string) (driver.Conn, error) { return nil, errors.New("is not asked") }

func (d connectorDriver) OpenConnector(string) (driver.Connector, error) {
	if d.made++; d.connectors > 0 && d.made > d.connectors {
		return nil, errScripted
	}
	return d.connector, nil
}

func (c *scriptedConnector) Connect(context.Context) (driver.Conn, error) { return c.conn() }
func (c *scriptedConnector) Driver() driver.Driver                        { return connectorDriver{c.scripted} }

func (c *scriptedConnector) Close() error {
	c.closes++
	return c.closing
}

var errScripted = errors.New("scripted")

func (d *scripted) conn() (driver.Conn, error) {
	if d.open != nil {
		return nil, d.open
	}
	if d.skips {
		return preparing{d}, nil
	}
	return executing{preparing{d}}, nil
}

// preparing is a connection that prepares its statements.
type preparing struct{ d *scripted }

func (c preparing) Prepare(text string) (driver.Stmt, error) {
	c.d.said = append(c.d.said, text)
	return statement(c), c.d.prep
}
func (c preparing) Begin() (driver.Tx, error) { return nil, errScripted }
func (c preparing) Close() error              { c.d.closed++; return nil }

// executing is one that can do without, but for statements that it skips.
type executing struct{ preparing }

func (c executing) ExecContext(_ context.Context, text string, _ []driver.NamedValue) (driver.Result, error) {
	if !errors.Is(c.d.exec, driver.ErrSkip) {
		c.d.said = append(c.d.said, text)
	}
	return driver.ResultNoRows, c.d.exec
}

type statement struct{ d *scripted }

func (s statement) NumInput() int { return -1 }
func (s statement) Exec([]driver.Value) (driver.Result, error) {
	return driver.ResultNoRows, s.d.stmt.exec
}
func (s statement) Query([]driver.Value) (driver.Rows, error) { return nil, errScripted }
func (s statement) Close() error                              { return s.d.stmt.close }

// Whatever the driver can do, each connection gets the settings, in their order.
func TestSettingsWithAnyDriver(t *testing.T) {
	for name, d := range map[string]*scripted{
		"executes": {}, "prepares": {skips: true}, "executes and skips": {exec: driver.ErrSkip},
	} {
		for kind, driverName := range map[string]string{
			"plain": register(plainDriver{d}), "connector": register(connectorDriver{d}),
		} {
			d.connector, d.said = &scriptedConnector{scripted: d}, nil
			db, err := sqlite.Open(driverName, ":memory:")
			must(t, err)
			must(t, db.PingContext(t.Context()))
			must(t, db.Close())
			if len(d.said) < 5 || !strings.Contains(d.said[0], "busy_timeout") || !slices.ContainsFunc(d.said, func(s string) bool { return strings.Contains(s, "synchronous = FULL") }) {
				t.Errorf("%s, %s: the settings are %q", name, kind, d.said)
			}
			if kind == "connector" && d.connector.closes != 2 { // the one of the probe, and that of the pool
				t.Errorf("%s: %d connectors are closed", name, d.connector.closes)
			}
		}
	}
}

// A driver that cannot is an error, and of a connection that cannot be used nothing stays. The file is named, and what else stands
// in the source is not.
func TestDriverThatFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dormouse.db")
	for name, d := range map[string]*scripted{
		"open": {open: errScripted}, "exec": {exec: errScripted},
		"prepare": {skips: true, prep: errScripted}, "prepared": {skips: true, stmt: scriptedStmt{exec: errScripted}},
		"close": {skips: true, stmt: scriptedStmt{close: errScripted}}, "skipped": {exec: driver.ErrSkip, prep: errScripted},
	} {
		for _, driverName := range []string{register(plainDriver{d}), register(connectorDriver{d})} {
			d.connector, d.closed = &scriptedConnector{scripted: d}, 0
			db, err := sqlite.Open(driverName, path+"?key=secret")
			must(t, err)
			err = db.PingContext(t.Context())
			if !errors.Is(err, errScripted) || !strings.Contains(err.Error(), "open "+path) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s: %v", name, err)
			}
			if name != "open" && (d.closed != 1 || !strings.Contains(err.Error(), "busy_timeout")) {
				t.Errorf("%s: %d connections are closed after %v", name, d.closed, err)
			}
			must(t, db.Close())
		}
	}
	without := &scripted{open: errScripted}
	db, err := sqlite.Open(register(plainDriver{without}), ":memory:")
	must(t, err)
	if err := db.PingContext(t.Context()); err == nil || err.Error() != errScripted.Error() {
		t.Errorf("without a file: %v", err)
	}
	must(t, db.Close())
}

// A pool that cannot be made is an error.
func TestDriverThatCannotBeOpened(t *testing.T) {
	first, second, closing := &scripted{connectors: 1, made: 1}, &scripted{connectors: 1}, &scripted{}
	for _, d := range []*scripted{first, second, closing} {
		d.connector = &scriptedConnector{scripted: d}
	}
	closing.connector.closing = errScripted
	for name, driverName := range map[string]string{
		"unknown": "no such driver", "first connector": register(connectorDriver{first}),
		"second connector": register(connectorDriver{second}), "closing": register(connectorDriver{closing}),
	} {
		db, err := sqlite.Open(driverName, "a")
		if db != nil || err == nil || !strings.HasPrefix(err.Error(), "open SQLite database: ") {
			t.Errorf("%s: %v, %v", name, db, err)
		}
	}
}

// The file that is made for its owner alone is the one that SQLite opens. Where the source says that there is none to make, none is made.
func TestFileOfASource(t *testing.T) {
	for source, want := range map[string]string{
		"a.db": "a.db", "/b/a.db?_pragma=x": "/b/a.db", "file:a.db": "a.db", "file:/b/a.db?cache=shared": "/b/a.db", "file:///b/a%20b.db": "/b/a b.db",
		"file://localhost/b/a.db": "/b/a.db", "file://elsewhere/b/a.db": "", "file:a%zz": "",
		"": "", ":memory:": "", "file::memory:?cache=shared": "", "file:a?mode=memory": "", "file:a?mode=ro": "", "file:a?mode=rw": "", "file:a?mode=rwc": "a",
		"file:a?vfs=unix-none": "", "a?vfs=": "",
	} {
		if got := sqlite.FileOf(source); got != want {
			t.Errorf("%q: %q, want %q", source, got, want)
		}
	}
}

// A file that cannot be made is not opened: SQLite would make it for everybody.
func TestFileThatCannotBeMade(t *testing.T) {
	d := &scripted{}
	path := filepath.Join(t.TempDir(), "missing", "dormouse.db")
	db, err := sqlite.Open(register(plainDriver{d}), path)
	must(t, err)
	if err := db.PingContext(t.Context()); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "make SQLite database") || len(d.said) > 0 {
		t.Errorf("%v, and was asked %q", err, d.said)
	}
	must(t, db.Close())
}

// The file that was made is closed by the time SQLite opens it: a process that closes any descriptor of a file loses its locks on it, and
// one that is left open is closed whenever its memory is collected.
func TestMadeFileIsClosed(t *testing.T) {
	const open = "/proc/self/fd"
	if _, err := os.Stat(open); err != nil {
		t.Skip("which files a process has open is told on Linux alone: ", err)
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err)
	path := filepath.Join(dir, "dormouse.db")
	db, err := sqlite.Open(register(plainDriver{&scripted{}}), path) // which opens no file
	must(t, err)
	must(t, db.PingContext(t.Context()))
	_, err = os.Stat(path)
	must(t, err)
	links, err := os.ReadDir(open)
	must(t, err)
	for _, link := range links {
		if name, _ := os.Readlink(filepath.Join(open, link.Name())); name == path {
			t.Errorf("descriptor %s is open", link.Name())
		}
	}
	must(t, db.Close())
}
