package acquirer_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/queue"
)

func TestMetrics(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		registry := prometheus.NewPedanticRegistry()
		a := f.start(func(c *acquirer.Config) { c.Registerer, c.Types = registry, []string{"build"} })
		job := f.hand(a)
		if _, err := a.End(f.ctx, queue.End{Handout: job.Handout(), Outcome: queue.OutcomeSucceeded}); err != nil {
			t.Fatal(err)
		}
		w := f.join(a, f.request(nil, "scan"))
		p := f.posting(nil)
		p.Type = "scan"
		f.enqueue(a, p)
		f.mustGet(w, "of a type without a label")
		if _, err := a.EnqueueTx(f.ctx, f.inner, p, f.posting(nil)); err != nil { // the first is there
			t.Fatal(err)
		}
		problems, err := testutil.GatherAndLint(registry)
		if err != nil || len(problems) > 0 {
			t.Errorf("lint: %v, %v", problems, err)
		}
		want := `
# HELP dormouse_jobs_acquired_total Jobs handed to workers, by how their lane was found.
# TYPE dormouse_jobs_acquired_total counter
dormouse_jobs_acquired_total{instance="acquirer",kind="build",wake="handoff"} 1
dormouse_jobs_acquired_total{instance="acquirer",kind="other",wake="handoff"} 1
# HELP dormouse_jobs_enqueued_total Jobs enqueued through this process.
# TYPE dormouse_jobs_enqueued_total counter
dormouse_jobs_enqueued_total{instance="acquirer",kind="build"} 2
dormouse_jobs_enqueued_total{instance="acquirer",kind="other"} 1
# HELP dormouse_jobs_finished_total Jobs that reached a final state.
# TYPE dormouse_jobs_finished_total counter
dormouse_jobs_finished_total{instance="acquirer",kind="build",result="ok"} 1
# HELP dormouse_job_claims_total Claims, by whether they got as many jobs as they asked for.
# TYPE dormouse_job_claims_total counter
dormouse_job_claims_total{instance="acquirer",result="empty"} 0
dormouse_job_claims_total{instance="acquirer",result="full"} 2
dormouse_job_claims_total{instance="acquirer",result="part"} 0
# HELP dormouse_worker_slots Slots of this process's workers.
# TYPE dormouse_worker_slots gauge
dormouse_worker_slots{instance="acquirer",state="busy"} 1
dormouse_worker_slots{instance="acquirer",state="idle"} 0
`
		if err := testutil.GatherAndCompare(registry, strings.NewReader(want),
			"dormouse_jobs_acquired_total", "dormouse_jobs_enqueued_total", "dormouse_job_claims_total", "dormouse_jobs_finished_total", "dormouse_worker_slots"); err != nil {
			t.Error(err)
		}
		if _, err := acquirer.New(f.store, f.bus, acquirer.Config{Registerer: registry}); err == nil {
			t.Error("a second acquirer on the same registry was not refused")
		}
		if _, err := acquirer.New(f.store, f.bus, acquirer.Config{Registerer: registry, Instance: "2"}); err != nil {
			t.Errorf("two acquirers on one registry: %v", err)
		}
	})
}

// Whatever types are posted, nobody but the host makes series.
func TestPostedTypesMakeNoSeries(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		registry := prometheus.NewPedanticRegistry()
		a := f.start(func(c *acquirer.Config) { c.Registerer = registry })
		for i := range 100 {
			p := f.posting(nil)
			p.Type = fmt.Sprint("made up ", i)
			f.enqueue(a, p)
		}
		f.hand(a)
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range families {
			for _, m := range family.GetMetric() {
				for _, label := range m.GetLabel() {
					if label.GetName() == "kind" && label.GetValue() != "other" {
						t.Errorf("%s has the label %q", family.GetName(), label.GetValue())
					}
				}
			}
		}
	})
}

func TestMetricsEndWithRun(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		registry := prometheus.NewPedanticRegistry()
		_, stop := f.startStoppable(func(c *acquirer.Config) { c.Registerer = registry })
		if n, err := testutil.GatherAndCount(registry); err != nil || n == 0 {
			t.Fatalf("%d series while it runs, %v", n, err)
		}
		stop()
		if n, err := testutil.GatherAndCount(registry); err != nil || n != 0 {
			t.Errorf("%d series after Run, %v", n, err)
		}
		f.start(func(c *acquirer.Config) { c.Registerer = registry })
	})
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	for field, change := range map[string]func(*acquirer.Config){
		"Config.Batch":        func(c *acquirer.Config) { c.Batch = -1 },
		"Config.Backup":       func(c *acquirer.Config) { c.Backup = -1 },
		"Config.Lease":        func(c *acquirer.Config) { c.Lease = 1 },
		"Config.Reserves":     func(c *acquirer.Config) { c.Reserves = []queue.Reserve{{Of: 2}} },
		"Limits.PerTenant":    func(c *acquirer.Config) { c.Limits.PerTenant = -1 },
		"Config.Share NaN:":   func(c *acquirer.Config) { c.Share = math.NaN() },
		"Config.Share 1e-09:": func(c *acquirer.Config) { c.Share = 1e-9 },
		"Config.Share 1001:":  func(c *acquirer.Config) { c.Share = 1001 },
	} {
		var cfg acquirer.Config
		change(&cfg)
		_, err := acquirer.New(noStore{}, nil, cfg)
		if err == nil || !strings.HasPrefix(err.Error(), field+" ") {
			t.Errorf("%s: error %v", field, err)
		}
	}
	if _, err := acquirer.New(nil, nil, acquirer.Config{}); err == nil {
		t.Error("an acquirer without a store")
	}
	if _, err := acquirer.New(noStore{}, nil, acquirer.Config{Grace: -1, Retention: -1, MaxLog: -1, Share: -1}); err != nil {
		t.Errorf("what may be negative: %v", err)
	}
	for field, cfg := range map[string]acquirer.Config{
		"Config.Grace": {Grace: math.MaxInt64}, "Config.Retention": {Retention: math.MaxInt64}, "Config.MaxLog": {MaxLog: math.MaxInt64},
	} {
		if _, err := acquirer.New(noStore{}, nil, cfg); err == nil || !strings.HasPrefix(err.Error(), field+" ") {
			t.Errorf("%s beyond all bounds: %v", field, err)
		}
	}
}
