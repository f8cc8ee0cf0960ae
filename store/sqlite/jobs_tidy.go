package sqlite

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// tidying are the rows of a table that mean nothing any more.
type tidying struct {
	what, table string
	// key are the columns of the primary key.
	key   []string
	where string
	args  []any
	// still is the same of a row that is known, where to ask for all of them takes long.
	still string
}

// tidyings are records of processes, of pauses, of turns and of lanes that mean nothing any more: the turns that the floor has overtaken
// decide nothing. Of lanes those go that no job stands in, but for the last: the next one would get its number. With the jobs of an
// organization go its turns; its next job begins as the first one did.
func tidyings(before time.Time) []tidying {
	turn, floor := []string{"organization_id", "priority", "tenant_id"}, []string{"organization_id", "priority"}
	return []tidying{
		{"process", "{processes}", []string{"id"}, `lost_at < ? AND NOT EXISTS (
			SELECT 1 FROM {jobs} INDEXED BY {jobs_held} WHERE state = 2 AND process_id = {processes}.id)`, []any{micros(before)}, ""},
		{"pause", "{pauses}", []string{"organization_id", "type"}, `ends_at < ?`, []any{micros(before)}, ""},
		{
			"turn", "{turns}", turn, `last + ? <= (
			SELECT claimed FROM {floors} f WHERE f.organization_id = {turns}.organization_id AND f.priority = {turns}.priority)`,
			[]any{queue.FairOrder(0, 0, 1)},
			"",
		},
		{"lane", "{lanes}", []string{"id"}, `id < (SELECT max(id) FROM {lanes})
			AND NOT EXISTS (SELECT 1 FROM {jobs} INDEXED BY {jobs_lane} WHERE lane = {lanes}.id)`, nil, ""},
		{"turn", "{turns}", turn, `organization_id IN (
			SELECT organization_id FROM (SELECT DISTINCT organization_id FROM {turns}) o
			WHERE ` + jobless("o") + `)`, nil, jobless("{turns}")},
		{"floor", "{floors}", floor, `organization_id IN (
			SELECT organization_id FROM (SELECT DISTINCT organization_id FROM {floors}) o
			WHERE ` + jobless("o") + `)`, nil, jobless("{floors}")},
	}
}

// jobless is the condition that an organization has no jobs.
func jobless(of string) string {
	return `NOT EXISTS (SELECT 1 FROM {jobs} j INDEXED BY {jobs_listed} WHERE j.organization_id = ` + of + `.organization_id)`
}

// tidy deletes them all, or where the host keeps one of them, each alone.
func (s *Store) tidy(ctx context.Context, before time.Time) error {
	all := tidyings(before)
	err := s.write(ctx, func(t *tx) error {
		for i := range all {
			if _, err := t.exec(`DELETE FROM `+all[i].table+` WHERE `+all[i].where, all[i].args...); err != nil {
				return err
			}
		}
		return nil
	})
	if !rejects(err) {
		return err
	}
	for i := range all {
		if err := s.tidyApart(ctx, &all[i]); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) tidyApart(ctx context.Context, d *tidying) error {
	var rows [][]any
	err := s.view(ctx, func(t *tx) (err error) {
		rows, err = keys(t, func(k *[]any) []any {
			*k = make([]any, len(d.key))
			targets := make([]any, len(d.key))
			for i := range *k {
				targets[i] = &(*k)[i]
			}
			return targets
		}, `SELECT `+strings.Join(d.key, ", ")+` FROM `+d.table+` WHERE `+d.where, d.args...)
		return err
	})
	if err != nil {
		return err
	}
	one := ` FROM ` + d.table + ` WHERE ` + strings.Join(d.key, " = ? AND ") + ` = ? AND ` + cmp.Or(d.still, d.where)
	refused, err := s.apart(ctx, len(rows), func(t *tx, i int) error {
		_, err := t.remove(one, slices.Concat(rows[i], d.args)...)
		return err
	})
	names := make([]string, len(rows))
	for i := range rows {
		names[i] = nameOf(rows[i])
	}
	s.warn(ctx, "rows cannot be pruned", d.what, refusalsOf(names, refused))
	return err
}

// nameOf is a primary key, for the log.
func nameOf(key []any) string {
	parts := make([]string, len(key))
	for i, k := range key {
		if id, ok := k.([]byte); ok {
			parts[i] = fmt.Sprintf("%x", id)
		} else {
			parts[i] = fmt.Sprint(k)
		}
	}
	return strings.Join(parts, " ")
}
