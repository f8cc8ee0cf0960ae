package dormouse_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast/shadow"
	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/store"
	"github.com/dormouse-go/dormouse/store/memory"
	"github.com/dormouse-go/dormouse/store/migrate"
)

// ailing is a store that fails when it is asked first.
type ailing struct {
	store.Store
	failures []error
	asked    int
}

func (a *ailing) NextWake(ctx context.Context, s lifecycle.Shard) (time.Time, error) {
	if a.asked++; a.asked <= len(a.failures) {
		return time.Time{}, a.failures[a.asked-1]
	}
	return a.Store.NextWake(ctx, s)
}

var errUnreachable = fmt.Errorf("dial: %w", lifecycle.ErrUnavailable)

// What time cannot heal ends Run before anything loops.
func TestRunReturnsWhatTimeCannotHeal(t *testing.T) {
	for name, failure := range map[string]error{
		"no tables":          &migrate.VersionError{Tables: "dormouse_*", Want: 3},
		"another error":      errors.New("permission denied"),
		"wrapped, and later": fmt.Errorf("next wake: %w", &migrate.VersionError{}),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &ailing{Store: memory.New(), failures: []error{errUnreachable, failure}}
				p, err := dormouse.New(s, dormouse.Config{Logger: slog.New(slog.DiscardHandler)})
				if err != nil {
					t.Fatal(err)
				}
				if err := p.Run(t.Context()); !errors.Is(err, failure) {
					t.Errorf("Run returned %v, want %v", err, failure)
				}
			})
		})
	}
}

// A store that cannot be reached yet is waited for, and not for longer than Run lives.
func TestRunWaitsForTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &ailing{Store: memory.New(), failures: []error{errUnreachable, errUnreachable, errUnreachable}}
		p, err := dormouse.New(s, dormouse.Config{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := p.Run(ctx); err != nil {
			t.Errorf("Run returned %v", err)
		}
		if s.asked < 5 {
			t.Errorf("the store was asked %d times", s.asked)
		}

		s = &ailing{Store: memory.New(), failures: make([]error, 1000)}
		for i := range s.failures {
			s.failures[i] = errUnreachable
		}
		p, err = dormouse.New(s, dormouse.Config{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := p.Run(ctx); err != nil {
			t.Errorf("Run that ends while it waits returned %v", err)
		}
	})
}

// Whenever Run is asked to end, it returns nil and leaves nothing behind; the bubble would tell.
func TestRunEndsWhenever(t *testing.T) {
	build := func(ctx context.Context, _ *dormouse.Build) error {
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
		return ctx.Err()
	}
	for _, after := range []time.Duration{-1, 0, 1, time.Microsecond, time.Millisecond, 500 * time.Millisecond, time.Second, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			s := memory.New()
			p, err := dormouse.New(s, dormouse.Config{Build: build, Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			template, err := p.PutTemplate(t.Context(), dormouse.Template{Name: "go-dev"})
			if err != nil {
				t.Fatal(err)
			}
			w, err := p.Create(t.Context(), dormouse.NewWorkspace{Template: template.ID, Owner: "ann", Name: "api"})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := p.Start(t.Context(), w.ID); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), after)
			defer cancel()
			if err := p.Run(ctx); err != nil {
				t.Errorf("ended after %v: %v", after, err)
			}
			// What was begun has ended, what was not is still in line.
			if w, err = p.Get(t.Context(), w.ID); err != nil || w.Status != lifecycle.StatusRunning && after > time.Millisecond {
				t.Errorf("ended after %v: %v, %v", after, w.Status, err)
			}
		})
	}
}

// Where several things do not return, the error of Run names each of them.
func TestRunNamesAllThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		goOn := make(chan struct{})
		hang := func(prewarm.PoolEvent) { <-goOn }
		cfg := dormouse.Config{Logger: slog.New(slog.DiscardHandler), Audit: func(context.Context, dormouse.Event) error { <-goOn; return nil }}
		for _, name := range []string{"go", "js"} {
			cfg.Pools = append(cfg.Pools, dormouse.Pool{Name: name, TemplateName: "dev", Tune: func(c *prewarm.Config) { c.Events = hang }})
		}
		p, err := dormouse.New(memory.New(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		template, err := p.PutTemplate(t.Context(), dormouse.Template{Name: "dev"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Create(t.Context(), dormouse.NewWorkspace{Template: template.ID, Owner: "ann", Name: "api"}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- p.Run(ctx) }()
		time.Sleep(time.Minute)
		cancel()
		select {
		case err = <-ended:
		case <-time.After(2 * time.Minute):
			t.Error("Run has not returned")
		}
		for _, named := range []string{"go: Config.Events", "js: Config.Events", "deliver event"} {
			if err == nil || !strings.Contains(err.Error(), named) {
				t.Errorf("Run returned %v, want what names %q", err, named)
			}
		}
		close(goOn)
	})
}

// deaf is a store one method of which does not heed its context: its calls hang until the end of the test.
type deaf struct {
	store.Store
	to   string
	goOn chan struct{}
	hung atomic.Int32
}

func (d *deaf) hang(method string) {
	if method == d.to {
		d.hung.Add(1)
		<-d.goOn
	}
}

func (d *deaf) NextWake(ctx context.Context, s lifecycle.Shard) (time.Time, error) {
	d.hang("next wake")
	return d.Store.NextWake(ctx, s)
}

func (d *deaf) Template(ctx context.Context, id uuid.UUID) (lifecycle.Template, bool, error) {
	d.hang("template")
	return d.Store.Template(ctx, id)
}

func (d *deaf) List(ctx context.Context, q lifecycle.ListQuery) ([]lifecycle.Snapshot, error) {
	d.hang("list")
	return d.Store.List(ctx, q)
}

func (d *deaf) Jobs(ctx context.Context, f queue.Filter) ([]queue.Job, error) {
	d.hang("jobs")
	return d.Store.Jobs(ctx, f)
}

// A store that ignores its contexts costs each loop of the plane a call's time, in which others go on; Run ends, and names what hangs.
func TestRunWithAStoreThatDoesNotReturn(t *testing.T) {
	looks := func(cfg *dormouse.Config) { cfg.Shadow = &shadow.Config{} }
	pool := withPool(0, func(p *dormouse.Pool) { p.Template, p.TemplateName = uuid.New(), "" })
	for name, c := range map[string]struct {
		to   string
		with func(*dormouse.Config)
	}{
		"before it begins":             {"next wake", nil},
		"the sweep":                    {"list", nil},
		"the sweep's jobs":             {"jobs", nil},
		"the template of a pool":       {"template", pool},
		"the look of a plane's shadow": {"list", looks},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &deaf{Store: memory.New(), to: c.to, goOn: make(chan struct{})}
				cfg := dormouse.Config{Logger: slog.New(slog.DiscardHandler)}
				if c.with != nil {
					c.with(&cfg)
				}
				building(t, s.Store)
				p, err := dormouse.New(s, cfg)
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- p.Run(ctx) }()
				time.Sleep(time.Hour)
				if n := s.hung.Load(); n < 2 {
					t.Errorf("after %d calls that hang no other was made", n)
				}
				cancel()
				select {
				case err = <-ended:
				case <-time.After(2 * time.Minute):
					t.Error("Run has not returned")
				}
				if err == nil || !strings.Contains(err.Error(), "dormouse: "+c.to+": ") || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("Run returned %v, want what names %q", err, c.to)
				}
				close(s.goOn)
			})
		})
	}
}

// building leaves a workspace in a store whose build began an hour ago, and that no worker takes.
func building(t *testing.T, s store.Store) {
	t.Helper()
	p, err := dormouse.New(s, dormouse.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	template, err := p.PutTemplate(t.Context(), dormouse.Template{Name: "dev"})
	if err != nil {
		t.Fatal(err)
	}
	w, err := p.Create(t.Context(), dormouse.NewWorkspace{Template: template.ID, Owner: "ann", Name: "api"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Start(t.Context(), w.ID); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Hour)
}

// Two planes of one process share a store and a registry of metrics, and leave the registry as they found it.
func TestTwoPlanesInOneProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, registry := memory.New(), prometheus.NewRegistry()
		ctx, cancel := context.WithCancel(t.Context())
		ran := make(chan error, 2)
		for _, instance := range []string{"a", "b"} {
			p, err := dormouse.New(s, dormouse.Config{
				Build: func(context.Context, *dormouse.Build) error { return nil }, Instance: instance, Registerer: registry,
				Logger: slog.New(slog.DiscardHandler),
			})
			if err != nil {
				t.Fatal(err)
			}
			go func() { ran <- p.Run(ctx) }()
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if families, err := registry.Gather(); err != nil || len(families) < 20 {
			t.Errorf("%d families of metrics, error %v", len(families), err)
		}
		cancel()
		for range 2 {
			if err := <-ran; err != nil {
				t.Error(err)
			}
		}
		if families, err := registry.Gather(); err != nil || len(families) != 0 {
			t.Errorf("%d families of metrics are left, error %v", len(families), err)
		}
	})
}
