//go:build linux

package workerpool_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	_ "modernc.org/sqlite"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/store/sqlite"
	"github.com/dormouse-go/dormouse/workerpool"
	"github.com/dormouse-go/dormouse/workerpool/jobqueue"
	"github.com/dormouse-go/dormouse/workerpool/localprocess"
	"github.com/dormouse-go/dormouse/workerpool/runner"
)

// handOffEnv lets a manager take its jobs from the hand-off, whose store is a database in its directory.
const handOffEnv = "DORMOUSE_TEST_HANDOFF"

// openJobs opens the database of a bed.
func openJobs(ctx context.Context, dir string) (*sqlite.Store, func(), error) {
	db, err := sqlite.Open("sqlite", filepath.Join(dir, "jobs.db"))
	if err != nil {
		return nil, nil, err
	}
	s, err := sqlite.New(db, sqlite.Config{})
	if err == nil {
		err = s.Migrate(ctx)
	}
	return s, func() { _ = db.Close() }, err
}

// manageHandOff runs a pool behind an acquirer until ctx ends.
func manageHandOff(ctx context.Context, dir string, provider *localprocess.Provider) error {
	store, done, err := openJobs(ctx, dir)
	if err != nil {
		return err
	}
	defer done()
	quiet := slog.New(slog.DiscardHandler)
	q, err := jobqueue.New(jobqueue.Config{Types: []string{"job"}, Logger: quiet})
	if err != nil {
		return err
	}
	acq, err := acquirer.New(store, nil, acquirer.Config{
		// One manager runs at a time: whoever is registered when it starts is dead.
		Alone: true, Heartbeat: 500 * time.Millisecond, Lease: 10 * time.Second, Poll: 200 * time.Millisecond, StopTimeout: time.Second, Logger: quiet,
		Lost: map[string]acquirer.LostPolicy{"": q.Lost(acquirer.RequeueLost(1000, 0))},
	})
	if err != nil {
		return err
	}
	pool, err := workerpool.New(provider, provider, q, config())
	if err != nil {
		return err
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	var group sync.WaitGroup
	errs := make([]error, 3)
	group.Go(func() { errs[0] = acq.Run(life) })
	var work sync.WaitGroup
	work.Go(func() { errs[1] = pool.Run(ctx) })
	work.Go(func() { errs[2] = q.Run(ctx, acq, pool) })
	work.Wait()
	end()
	group.Wait()
	return errors.Join(errs...)
}

// A manager that takes its jobs from the hand-off is killed at any time. In the end the database says that every job has
// succeeded, its ledger that it ran once, and the machine that no process is left.
func TestManagerOfTheHandOffKilledAtAnyTime(t *testing.T) {
	b := newBed(t, handOffEnv)
	store, done, err := openJobs(t.Context(), b.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 3))
	var ids []uuid.UUID
	kills := 0
	for end := time.Now().Add(harm()); time.Now().Before(end); kills++ {
		for range r.IntN(6) {
			ids = append(ids, b.postTo(store, time.Duration(r.IntN(600))*time.Millisecond))
		}
		m := b.manager()
		time.Sleep(time.Duration(200+r.IntN(1200)) * time.Millisecond)
		_ = m.Process.Kill()
		_ = m.Wait()
	}
	_ = os.Remove(b.dir + "/ready")
	m := b.manager()
	b.finishHandOff(store, ids)
	b.end(m)
	t.Logf("%d jobs, %d managers killed", len(ids), kills)
	b.checkHandOff(store, ids)
}

// postTo adds a job that writes when it begins and ends.
func (b *bed) postTo(store *sqlite.Store, d time.Duration) uuid.UUID {
	id := uuid.New()
	ledger := filepath.Join(b.dir, "l", id.String())
	script := fmt.Sprintf("echo begin >> %s; sleep %.2f; echo end >> %s", ledger, d.Seconds(), ledger)
	_, err := store.Enqueue(b.Context(), time.Now().UTC(), []queue.Posting{{ID: id, Tenant: uuid.New(), Type: "job", Payload: []byte(script)}})
	if err != nil {
		b.Fatal(err)
	}
	return id
}

func (b *bed) stored(store *sqlite.Store, ids []uuid.UUID) []queue.Job {
	jobs, err := store.Jobs(b.Context(), queue.Filter{IDs: ids})
	if err != nil || len(jobs) != len(ids) {
		b.Fatalf("%d of %d jobs, %v", len(jobs), len(ids), err)
	}
	return jobs
}

// finishHandOff waits until every job is over and every instance has gone.
func (b *bed) finishHandOff(store *sqlite.Store, ids []uuid.UUID) {
	provider, err := localprocess.New(b.dir+"/i", localprocess.Config{})
	if err != nil {
		b.Fatal(err)
	}
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		list, err := provider.List(b.Context(), nil)
		if err != nil {
			b.Fatal(err)
		}
		open := 0
		for _, j := range b.stored(store, ids) {
			if !j.State.Final() {
				open++
			}
		}
		if _, notReady := os.Stat(b.dir + "/ready"); open == 0 && len(list) == 0 && notReady == nil {
			return
		}
		if time.Now().After(deadline) {
			b.Fatalf("%d jobs are not over, %d instances are left", open, len(list))
		}
	}
}

func (b *bed) checkHandOff(store *sqlite.Store, ids []uuid.UUID) {
	for _, j := range b.stored(store, ids) {
		text, err := os.ReadFile(filepath.Join(b.dir, "l", j.ID.String()))
		if err != nil || string(text) != "begin\nend\n" || j.State != queue.Succeeded {
			b.Errorf("%s: ledger %q, %s in attempt %d (%s), %v", j.ID, text, j.State, j.Attempt, j.Error, err)
		}
	}
	if left := runner.Holders(filepath.Join(b.dir, "i")); len(left) != 0 {
		b.Errorf("processes %v are left", left)
	}
	out, _ := exec.Command("pgrep", "-f", b.dir).CombinedOutput()
	if pids := strings.TrimSpace(string(out)); pids != "" {
		b.Errorf("processes are left: %s", pids)
	}
}
