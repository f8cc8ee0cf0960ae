package dormouse_test

import (
	"errors"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store/memory"
	"github.com/dormouse-go/dormouse/workerpool"
	"github.com/dormouse-go/dormouse/workerpool/workerpooltest"
)

// withMachines carries builds out on machines that boot in half a minute, each build in one.
func withMachines(provider **workerpooltest.Provider, change func(*dormouse.Machines)) func(*dormouse.Config) {
	return func(cfg *dormouse.Config) {
		*provider = workerpooltest.NewProvider(nil)
		(*provider).Configure(func(k *workerpooltest.Knobs) { k.BootTime, k.JobTime = 30*time.Second, time.Minute })
		cfg.Build = nil
		cfg.Machines = &dormouse.Machines{
			Set: *provider, Executor: *provider, Script: func(b lifecycle.Job) []byte { return []byte(b.Transition.String()) },
			Pool: workerpool.Config{Limits: workerpool.Limits{Types: []workerpool.InstanceType{
				{Name: "small", Price: 1, Room: workerpool.Resources{Slots: 2}},
			}}},
		}
		if change != nil {
			change(cfg.Machines)
		}
	}
}

func TestBuildsOnMachinesThatComeAndGo(t *testing.T) {
	var provider *workerpooltest.Provider
	bubble(t, withMachines(&provider, nil), func(f *fixture) {
		var all []dormouse.Workspace
		for _, name := range []string{"api", "web", "db"} {
			w := f.create(name)
			_, err := f.Start(f.t.Context(), w.ID)
			f.must(err)
			all = append(all, w)
		}
		f.wait(10 * time.Second)
		if n := len(provider.Instances()); n != 2 {
			t.Errorf("%d machines for three builds, two on each", n)
		}
		f.wait(3 * time.Minute)
		for _, w := range all {
			f.want(w.ID, lifecycle.StatusRunning, 1)
		}
		f.wait(10 * time.Minute)
		if n := len(provider.Instances()); n != 0 || f.Machines().Cost().Busy == 0 {
			t.Errorf("%d machines are left, cost %+v", n, f.Machines().Cost())
		}
		provider.Configure(func(k *workerpooltest.Knobs) { k.ExitCode = 3 })
		_, err := f.Stop(f.t.Context(), all[0].ID)
		f.must(err)
		f.wait(3 * time.Minute)
		f.want(all[0].ID, lifecycle.StatusFailed, 2)
	})
}

// A machine that is gone fails its builds at once, and a canceled build ends on its machine.
func TestMachineThatIsGone(t *testing.T) {
	var provider *workerpooltest.Provider
	bubble(t, withMachines(&provider, func(m *dormouse.Machines) {
		provider.Configure(func(k *workerpooltest.Knobs) { k.JobTime = time.Hour })
	}), func(f *fixture) {
		w, canceled := f.create("api"), f.create("web")
		for _, w := range []dormouse.Workspace{w, canceled} {
			_, err := f.Start(f.t.Context(), w.ID)
			f.must(err)
		}
		f.wait(2 * time.Minute)
		f.want(w.ID, lifecycle.StatusStarting, 1)
		_, err := f.Cancel(f.t.Context(), canceled.ID)
		f.must(err)
		f.wait(2 * time.Minute)
		f.want(canceled.ID, lifecycle.StatusCanceled, 1)
		for _, in := range provider.Instances() {
			f.must(provider.Destroy(f.t.Context(), in.ID))
		}
		f.wait(5 * time.Minute)
		f.want(w.ID, lifecycle.StatusFailed, 1)
	})
}

func TestMachinesThatCannotBe(t *testing.T) {
	provider := workerpooltest.NewProvider(nil)
	whole := dormouse.Machines{Set: provider, Executor: provider, Script: func(lifecycle.Job) []byte { return nil }, Lost: acquirer.FailLost()}
	for field, spoil := range map[string]func(c *dormouse.Config){
		"Config.Machines":           func(c *dormouse.Config) { c.MachinesElsewhere = true },
		"Config.Machines.Set":       func(c *dormouse.Config) { c.Machines.Set = nil },
		"Config.Machines.Executor":  func(c *dormouse.Config) { c.Machines.Executor = nil },
		"Config.Machines.Script":    func(c *dormouse.Config) { c.Machines.Script = nil },
		"Config.Machines.Pool.Name": func(c *dormouse.Config) { c.Machines.Pool.Name = "a b" },
	} {
		m := whole
		cfg := dormouse.Config{Machines: &m}
		spoil(&cfg)
		_, err := dormouse.New(memory.New(), cfg)
		var refused *invalid.Error
		if !errors.As(err, &refused) || refused.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	if p, err := dormouse.New(memory.New(), dormouse.Config{MachinesElsewhere: true}); err != nil || p.Machines() != nil {
		t.Errorf("machines elsewhere: %v", err)
	}
}
