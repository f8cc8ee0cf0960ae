package sqlite_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/dormouse-go/dormouse/store/sqlite"
)

// The files of a new database are its owner's alone, whatever the umask; one that exists keeps its mode.
func TestFilesArePrivate(t *testing.T) {
	old := syscall.Umask(0o022)
	defer syscall.Umask(old)
	dir := t.TempDir()
	for name, source := range map[string]string{
		"plain.db": filepath.Join(dir, "plain.db"),
		"uri.db":   "file:" + filepath.Join(dir, "uri.db") + "?_pragma=foreign_keys(1)",
		"a b.db":   "file://" + filepath.Join(dir, "a%20b.db"),
	} {
		db, err := sqlite.Open("sqlite", source)
		must(t, err)
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s: there before the first use", name)
		}
		_, err = db.ExecContext(t.Context(), `CREATE TABLE t (x)`)
		must(t, err)
		for _, suffix := range []string{"", "-wal", "-shm"} {
			info, err := os.Stat(filepath.Join(dir, name+suffix))
			must(t, err)
			if mode := info.Mode().Perm(); mode != 0o600 {
				t.Errorf("%s%s has mode %o", name, suffix, mode)
			}
		}
		must(t, db.Close())
	}
	shared := filepath.Join(dir, "shared.db")
	must(t, os.WriteFile(shared, nil, 0o640))
	db, err := sqlite.Open("sqlite", shared)
	must(t, err)
	must(t, db.PingContext(t.Context()))
	must(t, db.Close())
	if info, err := os.Stat(shared); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v, %v", info, err)
	}
}
