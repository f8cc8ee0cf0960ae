//go:build linux

package workerpool_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/dormouse-go/dormouse/workerpool"
)

// fileQueue keeps each job in a file, which is always replaced as a whole: whenever its process is killed, a record was
// made or was not.
type fileQueue struct{ dir string }

type fileJob struct {
	State  string // waiting, assigned, ended
	Worker workerpool.InstanceID
	Exit   int
	Slots  int64
	Script string
	// Released counts how often the job went back.
	Released int
}

func (q fileQueue) load(id workerpool.JobID) (j fileJob, err error) {
	text, err := os.ReadFile(filepath.Join(q.dir, string(id)))
	if err == nil {
		err = json.Unmarshal(text, &j)
	}
	return j, err
}

func (q fileQueue) save(id workerpool.JobID, j fileJob) error {
	text, err := json.Marshal(j)
	if err != nil {
		return err
	}
	temporary := filepath.Join(q.dir, fmt.Sprintf(".%s.%d", id, os.Getpid()))
	if err := os.WriteFile(temporary, text, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, filepath.Join(q.dir, string(id)))
}

// all returns every job.
func (q fileQueue) all() (map[workerpool.JobID]fileJob, error) {
	entries, err := os.ReadDir(q.dir)
	if err != nil {
		return nil, err
	}
	jobs := make(map[workerpool.JobID]fileJob)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		id := workerpool.JobID(e.Name())
		if jobs[id], err = q.load(id); err != nil {
			return nil, err
		}
	}
	return jobs, nil
}

// Jobs implements [workerpool.Queue].
func (q fileQueue) Jobs(context.Context) ([]workerpool.Job, error) {
	all, err := q.all()
	var list []workerpool.Job
	for id, j := range all {
		if j.State == "ended" {
			continue
		}
		job := workerpool.Job{ID: id, Needs: workerpool.Resources{Slots: j.Slots}, Payload: []byte(j.Script)}
		if j.State == "assigned" {
			job.State = workerpool.JobAssigned
		}
		list = append(list, job)
	}
	return list, err
}

// Record implements [workerpool.Queue].
func (q fileQueue) Record(_ context.Context, r workerpool.Record) error {
	j, err := q.load(r.Job)
	if err != nil {
		return err
	}
	switch {
	case r.Kind == workerpool.Claimed && (j.State == "waiting" || j.State == "assigned" && j.Worker == r.Worker):
		j.State, j.Worker = "assigned", r.Worker
	case r.Kind == workerpool.Claimed:
		return fmt.Errorf("job %s is %s", r.Job, j.State)
	case j.State == "ended":
		return nil
	case r.Kind == workerpool.Ended:
		j.State, j.Exit = "ended", r.ExitCode
	default:
		j.State, j.Worker = "waiting", ""
		j.Released++
	}
	return q.save(r.Job, j)
}
