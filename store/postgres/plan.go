package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// steadySQL stands in front of statements that have one good plan whatever is in the tables: through the indexes, row by
// row. The server then plans such a statement once for a connection, instead of at every call, which takes twice as long as
// a small claim itself; and statistics that are old or missing, or its compiler for costly queries, cannot spoil the plan. The
// settings end with the transaction, so that the host's connections stay as they are.
var steadySQL = setSQL(steadily)

const steadily = throughIndexes + `,
		set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true)`

// throughIndexes are the settings of steadySQL for statements that find rows by their ids and join them with what they were given, which
// goes well by hashes. Without them the server would plan such a statement on a table that is young, where it is best read as a whole,
// and keep to that until it has statistics: a minute in which each call costs as much as all jobs that came meanwhile.
const throughIndexes = `set_config('plan_cache_mode', 'force_generic_plan', true), set_config('jit', 'off', true),
		set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true)`

// orderedSQL is steadySQL for statements that read pages in the order of an index, and are to sort no more than that.
var orderedSQL = setSQL(steadily + `,
		set_config('enable_sort', 'off', true), set_config('enable_incremental_sort', 'off', true)`)

// setSQL makes settings, and returns neither a row nor a column: of a short call it would be a part to describe, send and read what each was
// set to, which nobody asks.
func setSQL(settings string) string { return `SELECT WHERE num_nulls(` + settings + `) > 0` }

// steady runs a statement behind steadySQL, in one round trip and one transaction, and has its rows read.
func (s *Store) steady(ctx context.Context, text string, args []any, read func(pgx.Rows) error) error {
	return s.behind(ctx, steadySQL, text, args, read)
}

// behind runs a statement behind one that sets something for it. In a transaction of the host nothing is set: it would stay for
// what the host does after it.
func (s *Store) behind(ctx context.Context, settings, text string, args []any, read func(pgx.Rows) error) error {
	if s.host != nil {
		rows, _ := s.db.Query(ctx, s.sql(text), parameters(args))
		return read(rows)
	}
	return s.waiting(ctx, settings, text, args, read)
}

// waiting runs a statement behind one that bounds its waits and may set more. A transaction of the host gets its own bound back, see
// bounded; nothing else is set there.
func (s *Store) waiting(ctx context.Context, settings, text string, args []any, read func(pgx.Rows) error) error {
	if s.host != nil {
		settings = batchWaitSQL
	}
	var b pgx.Batch
	b.Queue(settings)
	b.Queue(s.sql(text), parameters(args))
	return s.send(ctx, &b, func(r pgx.BatchResults) error {
		skip(r, 1)
		rows, _ := r.Query()
		return read(rows)
	})
}
