package records

import (
	"database/sql"
	"fmt"
)

// OpenSQLite opens the file that a store of package sqlite has, for tables beside it; the driver is modernc.org/sqlite.
//
// A pool of the store's own is not for them: its connections give up a busy file at once, because the store goes on waiting by itself.
// These leave the waiting to SQLite.
func OpenSQLite(path string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", path+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	if err != nil {
		return nil, fmt.Errorf("open the tables of the control plane: %w", err)
	}
	return db, nil
}
