package postgres

import (
	"github.com/dormouse-go/dormouse/lifecycle"
)

// Recording implements [lifecycle.Recorder].
func (s *Store) Recording(events ...lifecycle.Event) lifecycle.Writer {
	return &Store{core: s.core, db: s.db, host: s.host, events: events}
}

// recordSQL writes events, those of eventColumns from a parameter on, if a condition holds.
func recordSQL(first int, condition string) string {
	return `INSERT INTO dormouse.events (workspace_id, topic, body)
		SELECT e.workspace_id, e.topic, e.body::json
		FROM ` + eventColumns.rows(first, "e", "n") + `
		WHERE ` + condition + `
		ORDER BY e.n
		RETURNING 1`
}

// unrecordedSQL ends a statement with an error if events of recordSQL, which is its told, were left out: what is written without them
// is never told.
func unrecordedSQL(first, columns int, condition string) string {
	return leftOutSQL("events", columns, `FROM `+eventColumns.rows(first, "e", "n")+` WHERE `+condition+`
	HAVING count(*) > (SELECT count(*) FROM told)`)
}

// recorded is a statement that writes one row, and the events if it does, and returns NULL and how many rows it wrote. The
// parameters of the statement come first.
func recorded(params int, text string) string {
	return `
	WITH put AS (` + text + `
		RETURNING 1
	), told AS (
		` + recordSQL(params+1, `EXISTS (SELECT FROM put)`) + `
	)
	SELECT NULL::uuid, count(*) FROM put` + unrecordedSQL(params+1, 1, `EXISTS (SELECT FROM put)`)
}

// eventArgs are the parameters of the events that go with a write.
func (s *Store) eventArgs() ([]any, error) {
	rows := make([]eventRow, len(s.events))
	for i := range s.events {
		var err error
		if rows[i], err = eventRowOf(&s.events[i]); err != nil {
			return nil, err
		}
	}
	return eventColumns.args(rows), nil
}

// repeated is how a write may be tried again that may be repeated as such: its events may not.
func (s *Store) repeated() safety {
	if len(s.events) > 0 {
		return once
	}
	return repeatable
}
