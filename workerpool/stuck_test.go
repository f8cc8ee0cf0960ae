package workerpool_test

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	. "github.com/dormouse-go/dormouse/workerpool"
	"github.com/dormouse-go/dormouse/workerpool/workerpooltest"
)

// deafSet is a provider whose listings, or whose destructions of one instance, do not heed their contexts.
type deafSet struct {
	*workerpooltest.Provider
	goOn     chan struct{}
	lists    atomic.Bool
	runs     atomic.Bool // commands
	forgets  atomic.Bool
	destroys atomic.Value // an InstanceID
	hung     atomic.Int32
}

func (d *deafSet) Run(ctx context.Context, target Target, command string, stdin io.Reader, stdout io.Writer) error {
	if d.runs.Load() {
		d.hung.Add(1)
		<-d.goOn
	}
	return d.Provider.Run(ctx, target, command, stdin, stdout)
}

func (d *deafSet) Forget(InstanceID) {
	if d.forgets.Load() {
		d.hung.Add(1)
		<-d.goOn
	}
}

func (d *deafSet) List(ctx context.Context, tags map[string]string) ([]Instance, error) {
	if d.lists.Load() {
		d.hung.Add(1)
		<-d.goOn
	}
	return d.Provider.List(ctx, tags)
}

func (d *deafSet) Destroy(ctx context.Context, id InstanceID) error {
	if d.destroys.Load() == id {
		d.hung.Add(1)
		<-d.goOn
	}
	return d.Provider.Destroy(ctx, id)
}

// withDeaf runs a test with a pool over a provider that is deaf to what the test says. At its end Run returns, with an error that names
// what hangs, whether or not that ever returns.
func withDeaf(t *testing.T, named string, test func(p *Pool, d *deafSet), change ...func(*Config, *deafSet)) {
	synctest.Test(t, func(t *testing.T) {
		d := &deafSet{Provider: workerpooltest.NewProvider(nil), goOn: make(chan struct{})}
		cfg := Config{
			SyncInterval: 10 * time.Second, OperationTimeout: time.Second, Logger: slog.New(slog.DiscardHandler),
			Limits: Limits{Types: []InstanceType{small()}, IdleTimeout: time.Hour},
		}
		for _, f := range change {
			f(&cfg, d)
		}
		p, err := New(d, d, nil, cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- p.Run(ctx) }()
		time.Sleep(15 * time.Second)
		test(p, d)
		cancel()
		select {
		case err = <-ended:
			if err == nil || !strings.Contains(err.Error(), named) {
				t.Errorf("Run returned %v, want what names %q", err, named)
			}
		case <-time.After(time.Minute):
			t.Error("Run has not returned")
		}
		close(d.goOn)
		synctest.Wait()
		if n := p.Stats().Stuck; n != 0 {
			t.Errorf("%d calls are stuck though they have returned", n)
		}
	})
}

// However long the listings of a provider hang, no more than a hundred of them are left behind.
func TestListingsThatDoNotReturn(t *testing.T) {
	withDeaf(t, "list", func(p *Pool, d *deafSet) {
		d.lists.Store(true)
		time.Sleep(24 * time.Hour)
		if n := d.hung.Load(); n != 100 {
			t.Errorf("%d listings hang", n)
		}
		if s := p.Stats(); s.Stuck != 100 || s.ListingErrors < 200 {
			t.Errorf("%d calls are stuck, %d listings failed", s.Stuck, s.ListingErrors)
		}
	})
}

// An instance whose destruction hangs takes no places of others: they are destroyed, however often it is tried.
func TestDestructionsThatDoNotReturn(t *testing.T) {
	withDeaf(t, "destroy i-00001", func(p *Pool, d *deafSet) {
		d.destroys.Store(InstanceID("i-00001"))
		for range 2 {
			if _, err := p.Create("small"); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(72 * time.Hour) // they idle for an hour
		if n := d.hung.Load(); n != 3 {
			t.Errorf("%d destructions of one instance hang", n)
		}
		if left := d.Instances(); len(left) != 1 {
			t.Errorf("instances %v, want the one that hangs", left)
		}
	})
}

// However many workers come and go whose commands hang, what is left behind is bounded: no more are created until some return, and the
// pool says so. The workers that it has are asked all the same, and creates go on when the commands return.
func TestCommandsThatDoNotReturn(t *testing.T) {
	const floor, most = 4, 100 + 3*4
	var paused atomic.Int32
	registry := prometheus.NewRegistry()
	floored := func(cfg *Config, d *deafSet) {
		d.runs.Store(true) // so that no worker is ever ready: many that were fail together for another reason
		cfg.BootTimeout, cfg.LongestPause, cfg.FirstPause = 5*time.Minute, time.Minute, time.Minute
		cfg.Limits.Types[0].Warm = []Warm{{Floor: floor}}
		cfg.Registerer = registry
		cfg.Events = func(e Event) {
			if e.Kind == EventPaused && e.Reason == ReasonCommandsHang {
				paused.Add(1)
			}
		}
	}
	withDeaf(t, "run a command on", func(p *Pool, d *deafSet) {
		both, unsorted := 0, []Pause(nil)
		for range 72 * 60 {
			time.Sleep(time.Minute)
			list := p.Pauses()
			both = max(both, len(list))
			if !slices.IsSortedFunc(list, func(x, y Pause) int { return strings.Compare(x.Key, y.Key) }) {
				unsorted = list
			}
		}
		if both < 2 || unsorted != nil {
			t.Errorf("at most %d pauses at once, not by key: %+v", both, unsorted)
		}
		begun := p.Stats().Creates[ReasonFloor]
		time.Sleep(72 * time.Hour)
		if s := p.Stats(); s.Stuck < 100 || s.Stuck > most+3*floor || s.Creates[ReasonFloor] != begun || int(d.hung.Load()) != s.Stuck {
			t.Errorf("%d commands hang, %d are counted, want at most %d; %d workers were created, and %d more", d.hung.Load(), s.Stuck, most+3*floor, begun, s.Creates[ReasonFloor]-begun)
		}
		if n := gaugeOf(t, registry, "dormouse_workerpool_stuck_calls"); n < 100 {
			t.Errorf("the metric says %v", n)
		}
		var found Pause
		for _, one := range p.Pauses() {
			if one.Reason == ReasonCommandsHang {
				found = one
			}
		}
		if found.Key == "" || found.Allow != 0 || !strings.Contains(found.Text, "have not returned") || paused.Load() != 1 {
			t.Errorf("pauses %+v, %d events", p.Pauses(), paused.Load())
		}
		if _, err := p.Create("small"); err == nil || !strings.Contains(err.Error(), string(ReasonCommandsHang)) {
			t.Errorf("a create by hand: %v", err)
		}
		d.runs.Store(false)
		close(d.goOn)
		time.Sleep(time.Hour)
		if n := p.Counts().Workers[Idle]; n != floor {
			t.Errorf("%d workers idle when the commands have returned, want %d", n, floor)
		}
		d.goOn = make(chan struct{})
		d.runs.Store(true)
		time.Sleep(time.Hour)
	}, floored)
}

// Nor does an executor that does not return from Forget, or a host from Config.Events, keep more than its share, or Run.
func TestWhatIsToldDoesNotReturn(t *testing.T) {
	withDeaf(t, "forget worker i-", func(p *Pool, d *deafSet) {
		d.forgets.Store(true)
		for range 150 {
			if _, err := p.Create("small"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Hour) // it idles for an hour
		}
		if n := d.hung.Load(); n != 100 {
			t.Errorf("%d calls hang", n)
		}
	})
	var told atomic.Int32
	withDeaf(t, "Config.Events", func(p *Pool, _ *deafSet) {
		for range 2 {
			if _, err := p.Create("small"); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Hour)
	}, func(cfg *Config, d *deafSet) { cfg.Events = func(Event) { told.Add(1); <-d.goOn } })
	if n := told.Load(); n != 1 {
		t.Errorf("%d events were told, one after another", n)
	}
}

// A host that is slow keeps Run from returning for a few seconds, however many events wait.
func TestSlowEventsAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told atomic.Int32
		d := workerpooltest.NewProvider(nil)
		p, err := New(d, d, nil, Config{
			Logger: slog.New(slog.DiscardHandler), Limits: Limits{Types: []InstanceType{small()}, IdleTimeout: time.Hour, MaxCreating: 20},
			Events: func(Event) { told.Add(1); time.Sleep(2 * time.Second) },
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- p.Run(ctx) }()
		time.Sleep(15 * time.Second) // it has listed what there is
		for range 20 {
			if _, err := p.Create("small"); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(5 * time.Second)
		cancel()
		begun := time.Now()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if took := time.Since(begun); took > 20*time.Second || told.Load() < 2 {
			t.Errorf("Run returned after %v, %d events were told", took, told.Load())
		}
	})
}

func gaugeOf(t *testing.T, registry *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("there is no %s", name)
	return 0
}
