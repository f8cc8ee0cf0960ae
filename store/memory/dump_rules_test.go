package memory_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/store/memory"
)

// largest is the largest number of a place in line, a fence or a line of a log that a dump may have.
const largest = 1 << 60

// edited sets fields in the first line of a dump that is of a kind and, for a job, in a state.
func edited(t *testing.T, dump, kind, state string, fields map[string]any) string {
	t.Helper()
	all := strings.Split(dump, "\n")
	for i, line := range all {
		var row map[string]map[string]any
		d := json.NewDecoder(strings.NewReader(line))
		d.UseNumber()
		if d.Decode(&row) != nil || row[kind] == nil || state != "" && row[kind]["State"] != state {
			continue
		}
		for name, v := range fields {
			row[kind][name] = v
		}
		text, err := json.Marshal(row)
		must(t, err)
		all[i] = string(text)
		return strings.Join(all, "\n")
	}
	t.Fatalf("the dump has no %s %s", kind, state)
	return ""
}

type set = map[string]any

// What a line of a dump says of a job, a tenant's turn, a process or events is within what a store can have written.
func TestRestoreChecksJobs(t *testing.T) {
	s, _ := lived(t)
	var b bytes.Buffer
	must(t, s.Dump(&b))
	line := func(seq int64, size int) []set { return []set{{"Seq": seq, "Text": strings.Repeat("x", size)}} }
	for i, c := range []struct {
		kind, state string
		fields      set
		want        string // "": it is accepted
	}{
		{"job", "pending", set{"ID": uuid.Nil}, "Job.ID"},
		{"job", "pending", set{"Weight": 0}, "Job.Weight"},
		{"job", "pending", set{"State": "exploded"}, "exploded"},
		{"job", "running", set{"Fence": 0, "Attempt": 0}, "Job.State"},
		{"job", "running", set{"Process": uuid.Nil}, "Job.State"},
		{"job", "running", set{"StartedAt": "0001-01-01T00:00:00Z"}, "Job.State"},
		{"job", "running", set{"EndedAt": "2026-03-02T09:00:00Z"}, "Job.EndedAt"},
		{"job", "running", set{"State": "succeeded"}, "Job.EndedAt"},
		{"job", "running", set{"Delayed": true}, "Job.Delayed"},
		{"job", "running", set{"State": "failed", "EndedAt": "2026-03-02T09:00:00Z", "Delayed": true}, "Job.Delayed"},
		{"job", "pending", set{"Order": -1}, "Job.Order"},
		{"job", "pending", set{"Order": int64(largest) + 1}, "Job.Order"},
		{"job", "pending", set{"Order": int64(largest)}, ""},
		{"job", "pending", set{"Order": 0}, ""},
		{"job", "pending", set{"Attempt": -1}, "Job.Attempt"},
		{"job", "pending", set{"Attempt": 1, "Fence": 0}, "Job.Attempt"},
		{"job", "pending", set{"Attempt": 1, "Fence": 1}, ""},
		{"job", "pending", set{"Fence": int64(largest) + 1}, "Job.Attempt"},
		{"job", "pending", set{"Fence": int64(largest)}, ""},
		{"job", "pending", set{"Result": make([]byte, queue.MaxResult+1)}, "Job.Result"},
		{"job", "pending", set{"Result": make([]byte, queue.MaxResult)}, ""},
		{"job", "pending", set{"Error": strings.Repeat("x", queue.MaxErrorText+1)}, "Job.Error"},
		{"job", "pending", set{"Error": strings.Repeat("x", queue.MaxErrorText)}, ""},
		{"job", "running", set{"Progress": set{"Message": strings.Repeat("x", queue.MaxErrorText+1)}}, "Job.Error"},
		{"job", "running", set{"Progress": set{"Percent": -1}}, "Job.Progress.Percent"},
		{"job", "running", set{"Progress": set{"Percent": 101}}, "Job.Progress.Percent"},
		{"job", "running", set{"Progress": set{"Percent": 100}}, ""},
		{"job", "pending", set{"SecretHash": []byte("short")}, "Job.SecretHash"},
		{"job", "running", set{"Lines": line(1, 3), "LastSeq": 1}, ""},
		{"job", "running", set{"Lines": line(2, 3), "LastSeq": 1}, "Line.Seq"},
		{"job", "running", set{"Lines": line(0, 3), "LastSeq": 1}, "Line.Seq"},
		{"job", "running", set{"Lines": append(line(1, 3), line(1, 3)...), "LastSeq": 1}, "Line.Seq"},
		{"job", "running", set{"Lines": line(1, 2*queue.MaxLine+1), "LastSeq": 1}, "Line.Text"},
		{"job", "running", set{"LastSeq": -1}, "Job.LastSeq"},
		{"job", "running", set{"LastSeq": int64(largest) + 1}, "Job.LastSeq"},
		{"job", "running", set{"LastSeq": int64(largest)}, ""},
		{"turn", "", set{"Last": set{uuid.NewString(): -1}}, "Turn.Last"},
		{"turn", "", set{"Last": set{uuid.NewString(): int64(largest) + 1}}, "Turn.Last"},
		{"turn", "", set{"Last": set{uuid.NewString(): int64(largest)}}, ""},
		{"turn", "", set{"Claimed": -1}, "Turn.Claimed"},
		{"turn", "", set{"Claimed": int64(largest) + 1}, "Turn.Claimed"},
		{"turn", "", set{"Claimed": int64(largest)}, ""},
		{"process", "", set{"ID": uuid.Nil}, "Process.ID"},
		{"process", "", set{"Heartbeats": 0}, "Process.Heartbeats"},
		{"process", "", set{"Heartbeats": int64(largest) + 1}, "Process.Heartbeats"},
		{"process", "", set{"Heartbeats": int64(largest)}, ""},
		{"process", "", set{"Lost": true}, "Process.LostAt"},
		{"process", "", set{"LostAt": "2026-03-02T09:00:00Z"}, "Process.LostAt"},
		{"process", "", set{"Lost": true, "LostAt": "2026-03-02T09:00:00Z"}, ""},
		{"process", "", set{"Workers": []set{{"Waiting": -1, "Busy": 3}}}, "-1"},
		{"process", "", set{"Workers": []set{{"Waiting": 3, "Busy": -2}}}, "-2"},
		{"process", "", set{"Workers": []set{{"Waiting": 0, "Busy": 0}}}, ""},
		{"events", "", set{"Events": []set{{"seq": 1, "topic": "audit"}, {"seq": 1, "topic": "audit"}}}, "Events"},
		{"events", "", set{"Events": []set{{"seq": 0, "topic": "audit"}}}, "Events"},
		{"events", "", set{"Events": []set{{"seq": int64(largest) + 1, "topic": "audit"}}}, "Events"},
		{"events", "", set{"Events": []set{{"seq": 1, "topic": "audit"}, {"seq": 2, "topic": "notice"}}}, "Events"},
		{"events", "", set{"Events": []set{{"seq": 1, "topic": "audit"}, {"seq": 2, "topic": "audit", "workspace_id": uuid.New()}}}, "Events"},
	} {
		t.Run(fmt.Sprint(i, c.kind, c.want), func(t *testing.T) {
			_, err := memory.Restore(strings.NewReader(edited(t, b.String(), c.kind, c.state, c.fields)), nil)
			switch {
			case c.want == "" && err != nil:
				t.Errorf("%v: %v", c.fields, err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("%.200v: %v, want a refusal of %s", c.fields, err, c.want)
			case c.want != "" && strings.Contains(c.want, ".") && !errors.Is(err, invalid.Err):
				t.Errorf("%v is none of bad input", err)
			}
		})
	}
	twice := b.String()
	twice = strings.Replace(twice, "\n", "x\n", 1)
	if _, err := memory.Restore(strings.NewReader(twice), nil); err == nil {
		t.Error("what follows a row is accepted")
	}
}
