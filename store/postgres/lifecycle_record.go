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
		ORDER BY e.n`
}

// recorded is a statement that writes one row, and the events if it does, and returns how many rows it wrote. The parameters
// of the statement come first.
func recorded(params int, text string) string {
	return `
	WITH put AS (` + text + `
		RETURNING 1
	), told AS (
		` + recordSQL(params+1, `EXISTS (SELECT FROM put)`) + `
	)
	SELECT count(*) FROM put`
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
