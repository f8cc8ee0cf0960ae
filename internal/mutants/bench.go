package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// choose returns the mutants to try.
func choose(all []*Mutant, o options) ([]*Mutant, error) {
	if o.match != "" {
		re, err := regexp.Compile(o.match)
		if err != nil {
			return nil, err
		}
		all = slices.DeleteFunc(slices.Clone(all), func(m *Mutant) bool { return !re.MatchString(m.String()) })
	}
	if o.sample <= 0 || o.sample >= len(all) {
		return all, nil
	}
	chosen := slices.Clone(all)
	random := rand.New(rand.NewPCG(o.seed, 0))
	random.Shuffle(len(chosen), func(i, j int) { chosen[i], chosen[j] = chosen[j], chosen[i] })
	chosen = chosen[:o.sample]
	slices.SortFunc(chosen, func(a, b *Mutant) int { return a.ID - b.ID })
	return chosen, nil
}

// shuffled returns the mutants of a sample in an order that the seed chooses: a run that is ended early has tried a sample of its own
// then, and not what stands in the first files.
func shuffled(mutants []*Mutant, o options) []*Mutant {
	if o.sample <= 0 {
		return mutants
	}
	mixed := slices.Clone(mutants)
	rand.New(rand.NewPCG(o.seed, 1)).Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
	return mixed
}

// suite is the compiled tests of one package, with the switch inside.
type suite struct {
	path, dir, binary string
	tests             []test

	mu    sync.Mutex
	kills map[string]int // by test: who has noticed much is asked early
}

type test struct {
	name string
	// took is what it takes, worked what of that is work of the processor, which a machine that is shared does not lengthen.
	took, worked time.Duration
	reaches      map[int]bool
}

// bench runs suites with one mutant switched on.
type bench struct {
	work, overlay string
	suites        []*suite
	slack         time.Duration
	runs          string // which tests, by a regular expression
}

// prepare builds the tests and runs each alone, to learn which mutants it reaches.
func prepare(ctx context.Context, work string, targets []*target, o options) (*bench, error) {
	b := &bench{work: work, overlay: filepath.Join(work, "overlay.json"), slack: o.slack, runs: o.runs}
	if err := b.writeOverlay(targets); err != nil {
		return nil, err
	}
	paths := map[string]bool{}
	patterns := o.only
	if len(o.tests) > 0 {
		patterns = append(slices.Clone(o.only), o.tests...)
	}
	out, err := goTool(ctx, append([]string{"list", "-json=ImportPath,Dir"}, dotted(patterns)...)...)
	if err != nil {
		return nil, err
	}
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var l listed
		if err := d.Decode(&l); err != nil {
			return nil, err
		}
		if paths[l.ImportPath] {
			continue
		}
		paths[l.ImportPath] = true
		s := &suite{kills: map[string]int{}, path: l.ImportPath, dir: l.Dir, binary: filepath.Join(work, fmt.Sprintf("suite%d.test", len(paths)))}
		if err := b.build(ctx, s); err != nil {
			return nil, err
		}
		if err := s.leaveOut(o.skip); err != nil {
			return nil, err
		}
		if o.subtests > 0 {
			if err := b.divide(ctx, s, o); err != nil {
				return nil, err
			}
			if err := s.leaveOut(o.skip); err != nil {
				return nil, err
			}
		}
		if len(s.tests) > 0 {
			b.suites = append(b.suites, s)
		}
	}
	if len(b.suites) == 0 {
		return nil, errors.New("there is no test to run")
	}
	return b, b.survey(ctx, o.jobs)
}

func (b *bench) writeOverlay(targets []*target) error {
	replace := map[string]string{}
	for i, t := range targets {
		dir := filepath.Join(b.work, strconv.Itoa(i))
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		put := func(path string, text []byte) error {
			to := filepath.Join(dir, filepath.Base(path))
			replace[path] = to
			return os.WriteFile(to, text, 0o600)
		}
		for _, s := range t.files {
			if err := put(s.path, s.out); err != nil {
				return err
			}
		}
		if err := put(filepath.Join(t.dir, switchFile), t.switchText()); err != nil {
			return err
		}
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return err
	}
	return os.WriteFile(b.overlay, text, 0o600)
}

func (b *bench) build(ctx context.Context, s *suite) error {
	progress("build the tests of %s", s.path)
	if _, err := goTool(ctx, "test", "-c", "-overlay", b.overlay, "-o", s.binary, s.path); err != nil {
		return err
	}
	if _, err := os.Stat(s.binary); err != nil {
		return nil // no tests
	}
	cmd := exec.CommandContext(ctx, s.binary, "-test.list", cmp.Or(b.runs, "."))
	cmd.Dir = s.dir
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("list the tests of %s: %w", s.path, err)
	}
	for name := range strings.FieldsSeq(string(out)) {
		if !strings.HasPrefix(name, "Benchmark") {
			s.tests = append(s.tests, test{name: name})
		}
	}
	return nil
}

// leaveOut drops the tests that are not to kill.
func (s *suite) leaveOut(skip string) error {
	if skip == "" {
		return nil
	}
	re, err := regexp.Compile(skip)
	if err != nil {
		return err
	}
	s.tests = slices.DeleteFunc(s.tests, func(t test) bool { return re.MatchString(t.name) })
	return nil
}

// surveyLimit is how long one test may take without a mutant.
const surveyLimit = 10 * time.Minute

// survey runs every test alone. One that fails without any mutant proves nothing and is left out.
func (b *bench) survey(ctx context.Context, jobs int) error {
	var g group
	var broken failures
	for _, s := range b.suites {
		for i := range s.tests {
			g.run(jobs, func() {
				t := &s.tests[i]
				hits := fmt.Sprintf("%s.%d.hits", s.binary, i) // a subtest has slashes in its name
				start := time.Now()
				out, worked, err := b.start(ctx, s, []string{t.name}, surveyLimit, "MUTANT_HITS="+hits)
				t.took, t.worked, t.reaches = time.Since(start), worked, readHits(hits)
				switch {
				case errors.Is(err, errNotStarted):
					broken.add(err)
				case err != nil && ctx.Err() == nil:
					progress("%s fails without a mutant and is left out: %v\n%s", t.name, err, tail(out))
					t.reaches = nil
				}
			})
		}
	}
	g.wait()
	var took time.Duration
	for _, s := range b.suites {
		// The broadest test kills most of what it reaches.
		slices.SortStableFunc(s.tests, func(a, b test) int { return len(b.reaches) - len(a.reaches) })
		for _, t := range s.tests {
			took += t.took
		}
	}
	progress("the tests take %s one by one", took.Round(100*time.Millisecond))
	return cmp.Or(ctx.Err(), broken.err())
}

func readHits(path string) map[int]bool {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	hits := map[int]bool{}
	for line := range strings.FieldsSeq(string(text)) {
		if n, err := strconv.Atoi(line); err == nil {
			hits[n] = true
		}
	}
	return hits
}

// try runs the tests that reach each mutant. The error says of how many they could not be run; these stay untried.
func (b *bench) try(ctx context.Context, mutants []*Mutant, o options) error {
	var g group
	var broken failures
	var mu sync.Mutex
	done, alive, told := 0, 0, time.Now()
	for _, m := range mutants {
		g.run(o.jobs, func() {
			if ctx.Err() != nil {
				return
			}
			broken.add(b.judge(ctx, m))
			mu.Lock()
			defer mu.Unlock()
			done++
			if m.alive() {
				alive++
				progress("%s: %s", m.Fate, m)
			}
			if time.Since(told) > 10*time.Second {
				told = time.Now()
				progress("%d of %d tried, %d alive", done, len(mutants), alive)
			}
		})
	}
	g.wait()
	return broken.err()
}

// judge asks the tests that reach a mutant, until one notices it.
func (b *bench) judge(ctx context.Context, m *Mutant) (err error) {
	m.Fate = Missed
	for _, s := range b.suites {
		for _, tests := range s.reaching(m.ID) {
			if m.Fate, m.By, err = b.ask(ctx, s, tests, m); err != nil || !m.alive() || ctx.Err() != nil {
				return err
			}
		}
	}
	return nil
}

// ask runs tests that reach a mutant. What does not run says nothing of the mutant. Nor does a process that is killed, which may have been
// for want of memory: it is asked once more.
func (b *bench) ask(ctx context.Context, s *suite, tests []test, m *Mutant) (fate Fate, by string, err error) {
	var names []string
	var took time.Duration
	for _, t := range tests {
		names, took = append(names, t.name), took+t.took
	}
	mutant := "MUTANT=" + strconv.Itoa(m.ID)
	out, _, err := b.start(ctx, s, names, 2*took+b.slack, mutant)
	if wasKilled(err) && ctx.Err() == nil {
		out, _, err = b.start(ctx, s, names, 2*took+b.slack, mutant)
	}
	switch {
	case ctx.Err() != nil:
		return Untried, "", nil
	case errors.Is(err, errNotStarted):
		return Untried, "", err
	case errors.Is(err, errTooLong) || bytes.Contains(out, []byte("panic: test timed out after")):
		return TimedOut, strings.Join(names, " "), nil
	case err != nil:
		by = killer(out)
		s.noticed(by)
		return Killed, by, nil
	}
	return Survived, "", nil
}

// noticed counts a kill of a test, and of those that it is a part of: a suite that was divided is asked by its parts.
func (s *suite) noticed(test string) {
	parts := strings.Split(test, "/")
	s.mu.Lock()
	defer s.mu.Unlock()
	for level := range parts {
		s.kills[strings.Join(parts[:level+1], "/")]++
	}
}

// quick is how much work a test may be to be asked first: nearly every mutant of pure code dies by such a one. Of the others
// the one that has killed most so far is asked next, at first the broadest. A process runs its tests in the order in which they
// stand in the files, so these are processes of their own.
//
// Tests that wait for a database are little work each and take long together: only as many of the quick ones are asked first as fit into
// the first portion. The rest is asked in portions that grow.
const (
	quick        = 50 * time.Millisecond
	firstPortion = 4 * time.Second
	growth       = 4
)

// reaching returns the tests that reach a mutant: the quick ones, the best of the others, and the rest.
func (s *suite) reaching(id int) (runs [][]test) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var first, others []test
	for _, t := range s.tests {
		switch {
		case !t.reaches[id]:
		case t.worked <= quick:
			first = append(first, t)
		default:
			others = append(others, t)
		}
	}
	byKills := func(a, b test) int { return s.kills[b.name] - s.kills[a.name] }
	slices.SortStableFunc(first, byKills)
	n := portion(first, firstPortion)
	others = append(first[n:len(first):len(first)], others...)
	slices.SortStableFunc(others, byKills)
	best := min(1, len(others))
	for _, tests := range [][]test{first[:n], others[:best]} {
		if len(tests) > 0 {
			runs = append(runs, tests)
		}
	}
	for size, rest := firstPortion, others[best:]; len(rest) > 0; size *= growth {
		n := portion(rest, size)
		runs, rest = append(runs, rest[:n]), rest[n:]
	}
	return runs
}

// portion is how many tests, in their order, take no longer than a time: at least one, if there are any.
func portion(tests []test, limit time.Duration) (n int) {
	var took time.Duration
	for ; n < len(tests); n++ {
		if took += tests[n].took; took > limit && n > 0 {
			break
		}
	}
	return n
}
