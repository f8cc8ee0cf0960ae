package sqlite

import (
	"context"
	"database/sql"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// DueStatements are the statements a tick reads with.
func (s *Store) DueStatements() []string { return []string{s.text(dueAll), s.text(dueShared)} }

// ListStatements are the statements of lists and counts, and the index that each reads the workspaces by.
func (s *Store) ListStatements() map[string]string {
	of := map[string]string{
		listAll: "sqlite_autoindex_dormouse_workspaces_1", listOfTemplate: "dormouse_workspaces_template", listByWake: "dormouse_workspaces_due",
		listByName: "dormouse_workspaces_name", listByStatus: "dormouse_workspaces_status", nextOrganization: "dormouse_workspaces_status",
		countOfOrganization: "dormouse_workspaces_status", countOfOwner: "dormouse_workspaces_owner", countOfTemplate: "dormouse_workspaces_template",
	}
	for _, text := range listOfOwner {
		of[text] = "dormouse_workspaces_owner"
	}
	indexes := map[string]string{}
	for text, index := range of {
		indexes[s.text(text)] = index
	}
	return indexes
}

// FleetBuildsStatement lists the builds of all workspaces.
func (s *Store) FleetBuildsStatement() string { return s.text(selectFleetBuilds) }

// Statements are those that are put together from columns, by the name of their golden file; of those over many rows the
// one for a single row.
func Statements() map[string]string {
	last := len(manySizes) - 1
	return map[string]string{
		"update_workspace": updateWorkspace, "update_archived": updateArchived, "update_alone": updateAlone,
		"archive_build": archiveBuild[last], "create_workspace": createWorkspace, "builds": selectBuilds,
		"members_insert": insertMember, "members_update": updateMember, "hand_over": handOver,
		"due_all": dueAll, "due_shared": dueShared, "insert_job": insertJob[last],
		"list_builds": selectFleetBuilds, "list_all": listAll, "list_by_status": listByStatus, "list_by_name": listByName,
	}
}

// JobStatement is a statement that looks at jobs, with the number of its parameters and the index that it has to use.
type JobStatement struct {
	Text  string
	Args  int
	Index string
}

// JobStatements are those whose cost has a bound, by what they are for.
func (s *Store) JobStatements() map[string]JobStatement {
	all := map[string]JobStatement{
		"list": {listScanned, 9, "jobs_listed"}, "cut": {cutOfScanned, 8, "jobs_listed"}, "count": {countScanned, 8, "jobs_listed"},
		"line": {nextInLine, 5, "jobs_ready"}, "tenants": {nextOfTenants, 6, "jobs_tenants"},
		"next of some": {nextOfSome, 2, "jobs_delayed_of"},
		"unique":       {jobByUnique, 2, "jobs_unique"},
	}
	for name, st := range all {
		st.Text = s.text(st.Text)
		all[name] = st
	}
	return all
}

// Judged says what an error is taken for: another connection's lock, the fault of a row, one that says by itself what it is.
func Judged(err error) (isBusy, isRejected, isKnown bool) { return busy(err), rejects(err), known(err) }

// Referred and Stale say whether an error is that of a reference, and that of a transaction which gets the write lock no more.
func Referred(err error) bool { return referred(err) }

func Stale(err error) bool { return stale(err) }

// Unavailable is what a call returns for an error.
func Unavailable(err error) error { return unavailable(err, "do %d things", 2) }

// FileOf is the path in a source.
func FileOf(source string) string { return fileOf(source) }

// Unregister deletes a process's record behind everybody's back.
func (s *Store) Unregister(ctx context.Context, process uuid.UUID) error {
	return s.write(ctx, func(t *tx) error {
		_, err := t.exec(`DELETE FROM {processes} WHERE id = ?`, blob(process))
		return err
	})
}

// Garble makes a process's workers and a tag set unreadable.
func (s *Store) Garble(ctx context.Context, process uuid.UUID, tags queue.TagSet) error {
	s.lanes.forget()
	return s.write(ctx, func(t *tx) error {
		if _, err := t.exec(`UPDATE {processes} SET workers = CAST('[{"Waiting":3},{"Waiting":"many"}]' AS BLOB) WHERE id = ?`, blob(process)); err != nil {
			return err
		}
		_, err := t.exec(`UPDATE {lanes} SET tags = 'v2' || tags WHERE tags = ?`, tags.String())
		return err
	})
}

func (c *laneCache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.numbers, c.lanes = nil, nil
}

// Corrupt writes what no method lets in, as somebody might who has the file.
func (s *Store) Corrupt(ctx context.Context, what string, id uuid.UUID, value string) error {
	statement := map[string]string{
		"policy":      `UPDATE {templates} SET policy = ?, revision = revision + 1 WHERE id = ?`,
		"state":       `UPDATE {templates} SET state = ?, revision = revision + 1 WHERE id = ?`,
		"engine":      `INSERT INTO {engine} (one, state) SELECT 1, ? WHERE ?2 IS NOT NULL ON CONFLICT (one) DO UPDATE SET state = excluded.state`,
		"hold rules":  `UPDATE {workspaces} SET hold_rules = CAST(? AS INTEGER) WHERE id = ?`,
		"quiet hours": `UPDATE {owners} SET quiet_hours = ? WHERE id = ?`,
		"autostart":   `UPDATE {workspaces} SET autostart = ? WHERE id = ?`,
		"autostop":    `UPDATE {workspaces} SET autostop = ? WHERE id = ?`,
		"ttl":         `UPDATE {workspaces} SET ttl = CAST(? AS INTEGER) WHERE id = ?`,
	}[what]
	return s.write(ctx, func(t *tx) error {
		_, err := t.exec(statement, value, blob(id))
		return err
	})
}

// DB is the database of a store.
func (s *Store) DB() *sql.DB { return s.db }

// Claimable are the numbers of the events that a claim takes which looks at reach events first.
func (s *Store) Claimable(ctx context.Context, now time.Time, topics []lifecycle.Topic, limit, reach int) (seqs []int64, err error) {
	err = s.view(ctx, func(t *tx) error {
		found, err := t.claimable(now, topics, limit, reach)
		for _, f := range found {
			seqs = append(seqs, f.seq)
		}
		return err
	})
	return seqs, err
}

// ClaimEventStatements are those that a claim of events looks with, and the index that each reads the events by.
func (s *Store) ClaimEventStatements() map[string]string {
	return map[string]string{
		s.text(oldestEvents): "dormouse_events_fresh", s.text(newestEvents): "dormouse_events_fresh", s.text(moreEvents): "dormouse_events_fresh",
		s.text(eventsByLine): "dormouse_events_line", s.text(firstTriedEvents): "dormouse_events_tried",
	}
}

// LearnLanes has the store remember so many lanes, some at a time, and returns how many it remembered at most, and in the end.
func (s *Store) LearnLanes(n, some int) (most, last int) {
	for i := 0; i < n; i += some {
		learned := make(map[queue.Lane]int64, some)
		for k := range int64(some) {
			learned[queue.Lane{Organization: uuid.New()}] = int64(i) + k + 1
		}
		s.lanes.learn(learned)
		last = len(s.lanes.numbers)
		most = max(most, last, len(s.lanes.lanes))
	}
	return most, last
}

// MaxLanes is how many lanes a store remembers.
const MaxLanes = maxLanes

// Subscribe is WatchWakes without the waiting.
func (s *Store) Subscribe(wake func()) (cancel func()) { return s.watchers.Subscribe(wake) }
