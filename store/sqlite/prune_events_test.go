package sqlite_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
)

var auditAndNotice = []lifecycle.Topic{lifecycle.TopicAudit, lifecycle.TopicNotice}

// pruneEvents prunes what is older than an hour after the epoch, and returns the numbers of the events.
func (p *pruned) pruneEvents(limit int) (seqs []int64) {
	p.Helper()
	events, err := p.s.PruneEvents(p.Context(), killEpoch.Add(time.Hour), auditAndNotice, limit)
	must(p.T, err)
	for _, e := range events {
		seqs = append(seqs, e.Seq)
	}
	return seqs
}

// fillEvents stores n old events, each of its own workspace, the topics in turn.
func (p *pruned) fillEvents(n int) {
	p.Helper()
	p.exec(`WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?1)
		INSERT INTO dormouse_events (topic, workspace_id, body) SELECT n % 2, randomblob(16), CAST(json_object('at', ?2, 'topic', CASE n % 2 WHEN 1 THEN 'notice' ELSE 'audit' END) AS BLOB) FROM numbers`,
		n, killEpoch.Format(time.RFC3339))
}

// Events that something of the host keeps stay, and keep no other: more of them than a call removes, too.
func TestPruneEventsBesideWhatTheHostKeeps(t *testing.T) {
	keeps := map[string]string{
		"referred to":           `CREATE TABLE host (event INTEGER REFERENCES dormouse_events (seq)); INSERT INTO host SELECT seq FROM dormouse_events WHERE seq <= 8`,
		"referred to, deferred": `CREATE TABLE host (event INTEGER REFERENCES dormouse_events (seq) DEFERRABLE INITIALLY DEFERRED); INSERT INTO host SELECT seq FROM dormouse_events WHERE seq <= 8`,
	}
	for how, refusal := range refusals {
		keeps[how] = `CREATE TRIGGER host BEFORE DELETE ON dormouse_events WHEN old.seq <= 8 BEGIN ` + refusal + `; END`
	}
	for name, kept := range keeps {
		t.Run(name, func(t *testing.T) {
			p := newPruned(t)
			p.fillEvents(12)
			p.exec(kept)
			var gone []int64
			for range 4 {
				some := p.pruneEvents(3)
				if len(some) > 3 || !slices.IsSorted(some) {
					t.Errorf("pruned %d", some)
				}
				gone = append(gone, some...)
			}
			slices.Sort(gone)
			if want := []int64{9, 10, 11, 12}; !slices.Equal(gone, want) || rowsOf(t, p.db, "dormouse_events") != 8 {
				t.Errorf("pruned %d, want %d", gone, want)
			}
			if log := p.log.String(); !strings.Contains(log, "rows cannot be pruned") || !strings.Contains(log, "what=event") {
				t.Errorf("the log does not say what stays:\n%s", log)
			}
		})
	}
}

// Fewer events than the limit mean that nothing is left, also where some cannot be read; those that do not say how old they are stay.
func TestPruneEventsThatCannotBeRead(t *testing.T) {
	p := newPruned(t)
	p.fillEvents(12)
	p.exec(`UPDATE dormouse_events SET body = CAST(json_set(CAST(body AS TEXT), '$.topic', 'of a later version') AS BLOB) WHERE seq IN (1, 2, 5)`)
	p.exec(`UPDATE dormouse_events SET body = CAST(json_set(CAST(body AS TEXT), '$.at', 'a day of spring') AS BLOB) WHERE seq IN (3, 4, 7, 8, 9)`)
	if gone := p.pruneEvents(3); len(gone) != 3 {
		t.Errorf("pruned %d, want 3", gone)
	}
	if gone := p.pruneEvents(3); len(gone) != 1 {
		t.Errorf("pruned %d, want the last one", gone)
	}
	if n := rowsOf(t, p.db, "dormouse_events"); n != 5 {
		t.Errorf("%d events are left, want those without an age", n)
	}
}

// Old events behind a young one go as well, also where an event in front of it is kept, and the others go one by one.
func TestPruneEventsBehindAYoungOne(t *testing.T) {
	p := newPruned(t)
	p.fillEvents(6)
	p.exec(`UPDATE dormouse_events SET body = CAST(json_set(CAST(body AS TEXT), '$.at', ?) AS BLOB) WHERE seq = 3`, killEpoch.Add(time.Hour).Format(time.RFC3339))
	p.exec(`CREATE TRIGGER host BEFORE DELETE ON dormouse_events WHEN old.seq = 1 BEGIN SELECT RAISE(ABORT, 'kept by the host'); END`)
	if gone, want := p.pruneEvents(9), []int64{2, 4, 5, 6}; !slices.Equal(gone, want) {
		t.Errorf("pruned %d, want %d", gone, want)
	}
}
