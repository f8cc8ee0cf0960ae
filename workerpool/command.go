package workerpool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/dormouse-go/dormouse/internal/outcall"
)

const (
	// maxOutput bounds what a command may print.
	maxOutput = 256 << 10
	// maxListed bounds the jobs that a worker may list.
	maxListed = 4096
)

// errOutput is what the write of a command gets that prints too much.
var errOutput = errors.New("the command prints too much")

// output collects what a command prints, up to a limit.
type output struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	over bool
}

// Write implements io.Writer.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.over || o.buf.Len()+len(b) > maxOutput {
		o.over = true
		return 0, errOutput
	}
	return o.buf.Write(b)
}

func (o *output) text() (string, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.over {
		return "", errOutput
	}
	return o.buf.String(), nil
}

// command runs a command on a worker, bounded in time and output.
func (p *Pool) command(ctx context.Context, target Target, line string, stdin []byte) (string, error) {
	var out output
	what := "run a command on " + string(target.ID)
	// A kind of its own: of many workers that hang none keeps the others from being asked. [Pool.tooManyHang] bounds their sum.
	err := p.boundedOf(ctx, p.commands, outcall.Name{Kind: what, One: what}, p.cfg.CommandTimeout, func(ctx context.Context) error {
		return p.executor.Run(ctx, target, line, bytes.NewReader(stdin), &out)
	})
	text, tooMuch := out.text()
	if tooMuch != nil {
		return "", tooMuch
	}
	return text, err
}

// tooManyHang reports whether so many commands have been left behind that no worker is created: as many as the workers that there are
// may leave, and [outcall.MaxStuck] of workers that are gone. Else each worker that takes the place of one whose commands hang would
// leave some more, for ever. The caller holds the lock.
func (p *Pool) tooManyHang() bool {
	return p.commands.Len() >= outcall.MaxStuck+outcall.MaxOfOne*p.kept
}

// noteHanging tells when creates stop because commands hang. The caller holds the lock.
func (p *Pool) noteHanging() {
	before := p.hanging
	if p.hanging = p.tooManyHang(); p.hanging && !before {
		p.emit(Event{Kind: EventPaused, Reason: ReasonCommandsHang, Text: p.hangText()})
	}
}

func (p *Pool) hangText() string {
	return fmt.Sprintf("%d commands on workers have not returned; the executor ignores the end of their contexts", p.commands.Len())
}

// target is where a worker's commands run. The caller holds the lock.
func (r *record) target() Target { return Target{ID: r.ID, Address: r.Address, Secret: r.Secret} }

// reading is a worker's answer to the command that lists its jobs.
type reading struct {
	jobs   []ListedJob
	broken bool
}

// parseList reads the answer, a line a job: its id alone while it runs, "ID exit CODE" when it has ended, "ID stale" when
// something of it is left but nobody minds it. The line "broken" says that the worker cannot run jobs.
func parseList(text string) (reading, error) {
	var r reading
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		switch {
		case len(words) == 0:
			continue
		case len(words) == 1 && words[0] == lineBroken:
			r.broken = true
			continue
		case len(r.jobs) == maxListed:
			return reading{}, fmt.Errorf("the worker lists more than %d jobs", maxListed)
		}
		j, err := parseJob(words)
		if err != nil {
			return reading{}, err
		}
		r.jobs = append(r.jobs, j)
	}
	return r, nil
}

func parseJob(words []string) (ListedJob, error) {
	j := ListedJob{ID: JobID(words[0])}
	if !isName(words[0]) {
		return j, fmt.Errorf("job id %.80q: %s", words[0], nameRule)
	}
	switch {
	case len(words) == 1:
		return j, nil
	case len(words) == 2 && words[1] == "stale":
		j.Ended, j.ExitCode = true, ExitUnknown
		return j, nil
	case len(words) == 3 && words[1] == "exit":
		code, err := strconv.Atoi(words[2])
		if err == nil {
			j.Ended, j.ExitCode = true, code
			return j, nil
		}
	}
	return j, fmt.Errorf("the worker's answer %.80q is not understood", strings.Join(words, " "))
}

// queueProbe begins a probe as soon as the pace allows. The caller holds the lock.
func (p *Pool) queueProbe(r *record) {
	if r.Probing || r.ID == "" {
		return
	}
	p.step(r, ProbeBegun{})
	p.probes = append(p.probes, r)
	wake(p.probeWake)
}

// probeLoop begins the probes that are due, at their pace.
func (p *Pool) probeLoop(ctx context.Context) {
	for {
		r := p.nextProbe()
		if r == nil {
			select {
			case <-ctx.Done():
				return
			case <-p.probeWake:
			}
			continue
		}
		if p.probePace.wait(ctx) != nil || p.probeSlots.Acquire(ctx, 1) != nil {
			return
		}
		p.tasks.Go(func() {
			defer p.probeSlots.Release(1)
			p.probe(ctx, r)
		})
	}
}

func (p *Pool) nextProbe() *record {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.probes) == 0 {
		return nil
	}
	r := p.probes[0]
	p.probes[0] = nil
	if p.probes = p.probes[1:]; len(p.probes) == 0 {
		p.probes = nil
	}
	return r
}

// probe asks a worker whether it is ready, unless it was before, and for its jobs. An unknown one is asked for its jobs
// even if it is not ready: they may be ours.
func (p *Pool) probe(ctx context.Context, r *record) {
	p.mu.Lock()
	result := Probed{Begun: p.now(), Boot: r.State == Idle || r.State == Running}
	target, unknown, alive := r.target(), r.State == Unknown, r.State < Shutdown
	p.mu.Unlock()
	if !alive {
		return
	}
	var err error
	if !result.Boot {
		_, err = p.command(ctx, target, p.cfg.BootProbe, nil)
		result.Boot = err == nil
	}
	if result.Boot || unknown {
		var text string
		var list reading
		if text, err = p.command(ctx, target, p.cfg.Runner+" list", nil); err == nil {
			list, err = parseList(text)
		}
		result.List, result.Jobs, result.Broken = err == nil, list.jobs, list.broken
	}
	if ctx.Err() != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.metrics.probed(err, p.now().Sub(result.Begun))
	if err != nil && r.FailingSince.IsZero() && r.State >= Idle {
		p.cfg.Logger.Warn("probe failed", "worker_id", r.ID, "error", err)
	}
	r.askedAt = p.mark(result.Begun)
	p.step(r, result)
	p.setBrake()
	if err != nil && r.missedAt != 0 && p.brake.missing == 0 { // a listing lacked it, and the next one may settle it
		p.syncSoon()
	}
}
