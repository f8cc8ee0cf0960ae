package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/rendercache"
)

// guide shows one thing after the other.
type guide struct {
	ctx     context.Context
	out     io.Writer
	r       *renderer
	version uuid.UUID
	ann     uuid.UUID
}

func tour(ctx context.Context, out io.Writer) error {
	r, err := newRenderer(1<<20, nil, nil)
	if err != nil {
		return err
	}
	defer r.close()
	r.archive = 5 * time.Millisecond
	t := &guide{ctx: ctx, out: out, r: r, version: r.publish(source), ann: uuid.New()}
	r.setUser(t.ann, user{Name: "ann", Groups: []string{"staff"}})
	for _, step := range []func() error{t.hit, t.burst, t.why, t.warnings, t.failure, t.changes, t.typing} {
		if err := step(); err != nil {
			return err
		}
	}
	s := r.results.Stats()
	t.title("In the end")
	t.say("%d of %d requests needed no render of their own: %d hits, %d shared a render, %d got a remembered failure; %d entries of %d bytes",
		s.Hits+s.Shared+s.FailureHits, s.Hits+s.Misses+s.Shared+s.Errors, s.Hits, s.Shared, s.FailureHits, s.Entries, s.Weight)
	return nil
}

func (t *guide) title(text string) {
	fmt.Fprintf(t.out, "\n%s\n%s\n", text, strings.Repeat("-", len(text)))
}
func (t *guide) say(text string, args ...any) { fmt.Fprintf(t.out, "  "+text+"\n", args...) }

// quote prints a text of several lines.
func (t *guide) quote(text string) {
	for line := range strings.SplitSeq(text, "\n") {
		t.say("| %s", line)
	}
}

// ask renders and tells how long it took.
func (t *guide) ask(params map[string]string) (result, time.Duration, error) {
	began := time.Now()
	res, err := t.r.render(t.ctx, t.version, t.ann, params)
	return res, time.Since(began), err
}

func (t *guide) hit() error {
	t.title("A render and a hit")
	for range 2 {
		res, took, err := t.ask(map[string]string{"cpu": "4"})
		if err != nil {
			return err
		}
		t.say("%-28s %8s", res, took.Round(100*time.Nanosecond))
	}
	res, _, err := t.ask(map[string]string{"cpu": "4"})
	if err != nil {
		return err
	}
	t.quote(res.Value.JSON)
	return nil
}

// burst is a pool of identical workspaces being filled.
func (t *guide) burst() error {
	t.title("Fifty identical builds at once")
	before, shared := t.r.renders.Load(), t.r.results.Stats().Shared
	var wg sync.WaitGroup
	errs := make([]error, 50)
	for i := range errs {
		wg.Go(func() { _, _, errs[i] = t.ask(map[string]string{"cpu": "8"}) })
	}
	wg.Wait()
	t.say("%d render, which %d others joined while it was running", t.r.renders.Load()-before, t.r.results.Stats().Shared-shared)
	return errors.Join(errs...)
}

func (t *guide) why() error {
	t.title("Why was it a miss?")
	res, _, err := t.ask(map[string]string{"cpu": "8", "region": "us"})
	if err != nil {
		return err
	}
	t.say("%s: other parameters than the last time: %s", res.Miss.Cause, strings.Join(res.Miss.Names, ", "))
	t.r.results.InvalidateVersion(t.version)
	if res, _, err = t.ask(map[string]string{"cpu": "8", "region": "us"}); err != nil {
		return err
	}
	t.say("%s: somebody dropped the version", res.Miss.Cause)
	return nil
}

func (t *guide) warnings() error {
	t.title("Warnings are part of the value")
	for range 2 {
		res, _, err := t.ask(map[string]string{"disk_gb": "50"})
		if err != nil {
			return err
		}
		t.say("%s, with %d warning", res, len(res.Value.Warnings))
		if res.Origin == rendercache.Hit {
			t.quote(res.Value.Warnings[0])
		}
	}
	return nil
}

// failure is a preset that can never succeed, asked for on every pass.
func (t *guide) failure() error {
	t.title("A failure that is remembered on purpose")
	before := t.r.renders.Load()
	var last error
	for pass := range 10 {
		res, took, err := t.ask(map[string]string{"cpu": "100"})
		if err == nil {
			return errors.New("100 cores were accepted")
		}
		if pass < 2 {
			t.say("%-28s %8s", res, took.Round(100*time.Nanosecond))
		}
		last = err
	}
	t.say("10 passes, %d render; all of them got", t.r.renders.Load()-before)
	t.quote(last.Error())
	return nil
}

func (t *guide) changes() error {
	t.title("The owner's data changes")
	params := map[string]string{"cpu": "2"}
	if _, _, err := t.ask(params); err != nil {
		return err
	}
	t.r.setUser(t.ann, user{Name: "ann", Groups: []string{"staff", "admins"}})
	res, _, err := t.ask(params)
	if err != nil {
		return err
	}
	t.say("%s, because the entry was %s; the image is the full one: %v", res, res.Miss.Cause, strings.Contains(res.Value.JSON, "dev:full"))
	return nil
}

// typing is an open form: every key stroke is a new set of parameters, but the template is parsed once.
func (t *guide) typing() error {
	t.title("Somebody types into a form")
	parses, renders := t.r.parses.Load(), t.r.renders.Load()
	form, err := t.r.hold(t.ctx, t.version)
	if err != nil {
		return err
	}
	defer form.Release()
	for _, disk := range []string{"1", "12", "128", "1280"} {
		if _, _, err := t.ask(map[string]string{"disk_gb": disk}); err != nil {
			return err
		}
	}
	t.say("%d renders from %d parse: the form holds the parsed template", t.r.renders.Load()-renders, t.r.parses.Load()-parses)
	return nil
}
