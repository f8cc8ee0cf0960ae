package dormouse_test

import (
	"context"
	"errors"
	"math"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/worker"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/lifecycle/forecast/shadow"
	"github.com/dormouse-go/dormouse/prewarm"
	prewarmprocess "github.com/dormouse-go/dormouse/prewarm/localprocess"
	"github.com/dormouse-go/dormouse/prewarm/workspaces"
	"github.com/dormouse-go/dormouse/rendercache"
	"github.com/dormouse-go/dormouse/store/memory"
	"github.com/dormouse-go/dormouse/webui"
	"github.com/dormouse-go/dormouse/webui/planesource"
	"github.com/dormouse-go/dormouse/workerpool"
	"github.com/dormouse-go/dormouse/workerpool/jobqueue"
	"github.com/dormouse-go/dormouse/workerpool/localprocess"
)

// What a constructor needs besides its configuration, and never calls.
type (
	source   struct{ worker.Source }
	backend  struct{ prewarm.Backend }
	machines struct{ workerpool.InstanceSet }
	commands struct{ workerpool.Executor }
	jobs     struct{ workerpool.Queue }
	shown    struct{ webui.Source }
	engine   struct{ workspaces.Engine }
)

// made calls a constructor with a configuration that is the base but for one change.
func made[C any](base C, construct func(C) error) constructor {
	return constructor{reflect.TypeFor[C](), func(change func(reflect.Value)) error {
		c := base
		change(reflect.ValueOf(&c).Elem())
		return construct(c)
	}}
}

type constructor struct {
	config reflect.Type
	with   func(change func(reflect.Value)) error
}

func constructors(t *testing.T) map[string]constructor {
	command := func(prewarm.Member) []string { return nil }
	weigh := func(string, string) int64 { return 1 }
	hand := func(context.Context, prewarm.Claim) (lifecycle.Verb, error) { return nil, nil }
	build := func(context.Context, *dormouse.Build) error { return nil }
	handler := func(context.Context, *worker.Task) ([]byte, error) { return nil, nil }
	return map[string]constructor{
		"dormouse": made(dormouse.Config{Build: build}, func(c dormouse.Config) error { _, err := dormouse.New(memory.New(), c); return err }),
		"executor": made(executor.Config{}, func(c executor.Config) error { _, err := executor.New(memory.New(), c); return err }),
		"client":   made(executor.ClientConfig{}, func(c executor.ClientConfig) error { _, err := executor.NewClient(memory.New(), c); return err }),
		"acquirer": made(acquirer.Config{}, func(c acquirer.Config) error { _, err := acquirer.New(memory.NewJobs(), nil, c); return err }),
		"worker":   made(worker.Config{Types: []string{"x"}}, func(c worker.Config) error { _, err := worker.New(source{}, handler, c); return err }),
		"prewarm": made(prewarm.Config{Spec: prewarm.Spec{Name: "p", Version: "v"}}, func(c prewarm.Config) error {
			_, err := prewarm.New(memory.New(), backend{}, c)
			return err
		}),
		"workerpool": made(workerpool.Config{}, func(c workerpool.Config) error {
			_, err := workerpool.New(machines{}, commands{}, jobs{}, c)
			return err
		}),
		"rendercache": made(rendercache.Config[string, string]{Weigh: weigh}, func(c rendercache.Config[string, string]) error {
			_, err := rendercache.New(c)
			return err
		}),
		"worker elsewhere": made(worker.Config{Types: []string{"x"}, Silence: time.Minute}, func(c worker.Config) error {
			_, err := worker.New(source{}, handler, c)
			return err
		}),
		"webui": made(webui.Config{Viewer: func(*http.Request) (webui.Viewer, bool) { return webui.Viewer{}, false }}, func(c webui.Config) error {
			_, err := webui.New(shown{}, c)
			return err
		}),
		"journal":  made(planesource.JournalConfig{}, func(c planesource.JournalConfig) error { _, err := planesource.NewJournal(c); return err }),
		"jobqueue": made(jobqueue.Config{Types: []string{"x"}}, func(c jobqueue.Config) error { _, err := jobqueue.New(c); return err }),
		"instances": made(localprocess.Config{}, func(c localprocess.Config) error {
			_, err := localprocess.New(t.TempDir(), c)
			return err
		}),
		"members": made(prewarmprocess.Config{Dir: t.TempDir(), Command: command}, func(c prewarmprocess.Config) error {
			_, err := prewarmprocess.New(c)
			return err
		}),
		"workspaces": made(workspaces.Config{Template: uuid.New(), Manager: lifecycle.Owner{ID: uuid.New()}, Hand: hand}, func(c workspaces.Config) error {
			_, err := workspaces.New(memory.New(), engine{}, c)
			return err
		}),
		"shadow": made(shadow.Config{}, func(c shadow.Config) error { _, err := shadow.New(time.Now(), c); return err }),
	}
}

// numbers are the numeric fields of a configuration, also those of the structs in it.
func numbers(t reflect.Type) (paths [][]int, names []string) {
	for i := range t.NumField() {
		f := t.Field(i)
		switch {
		case !f.IsExported():
		case f.Type.Kind() == reflect.Struct && strings.Contains(f.Type.PkgPath(), "dormouse"):
			inner, innerNames := numbers(f.Type)
			for k := range inner {
				paths, names = append(paths, append([]int{i}, inner[k]...)), append(names, innerNames[k])
			}
		case f.Type.Kind() >= reflect.Int && f.Type.Kind() <= reflect.Int64, f.Type.Kind() == reflect.Float64:
			paths, names = append(paths, []int{i}), append(names, f.Name)
		}
	}
	return paths, names
}

// meaningful are the fields whose documentation says what a negative number means, or that nobody reads.
var meaningful = map[string]bool{
	"prewarm.IdleTimeout": true, "prewarm.HitRate": true, "prewarm.Surge": true,
	"acquirer.Grace": true, "acquirer.MaxLog": true, "acquirer.Retention": true, "acquirer.Share": true,
	"workspaces.Rules": true,                             // the store sets it
	"workerpool.Total": true, "workerpool.PerHour": true, // sums of the other fields of Config.Spent
}

// Every number of every configuration that must not be negative is refused by its own name.
func TestNegativeFieldsAreRefusedByName(t *testing.T) {
	fields := 0
	for pkg, c := range constructors(t) {
		if err := c.with(func(reflect.Value) {}); err != nil {
			t.Errorf("%s: the base is refused: %v", pkg, err)
			continue
		}
		paths, names := numbers(c.config)
		for i, path := range paths {
			for _, n := range []int64{-1, math.MinInt64} {
				err := c.with(func(v reflect.Value) {
					if f := v.FieldByIndex(path); f.Kind() == reflect.Float64 {
						f.SetFloat(float64(n))
					} else {
						f.SetInt(max(n, -1<<(f.Type().Bits()-1)))
					}
				})
				fields++
				var refused *invalid.Error
				switch {
				case meaningful[pkg+"."+names[i]]:
					if err != nil {
						t.Errorf("%s.%s = %d: %v, but the documentation gives it a meaning", pkg, names[i], n, err)
					}
				case !errors.As(err, &refused):
					t.Errorf("%s.%s = %d: %v, want a refusal", pkg, names[i], n, err)
				case refused.Field == "Config.Spent": // the value shows which
				case !strings.HasSuffix("."+refused.Field, "."+names[i]):
					t.Errorf("%s.%s = %d is refused as %s: %v", pkg, names[i], n, refused.Field, err)
				}
			}
		}
	}
	t.Logf("%d fields", fields)
}

// unbounded are the numbers that may be as large as their type allows, and why.
var unbounded = map[string]string{
	"rendercache.MaxWeight":          "its unit is the host's, and no sum of weights overflows",
	"workerpool.MaxPrice":            "only compared, and the most is no limit",
	"workerpool.PriceFactor":         "only compared",
	"workerpool.OperationsPerSecond": "the time between two calls is 0 then",
	"workerpool.ProbesPerSecond":     "the time between two calls is 0 then",
	"workerpool.CommandTimeout":      "cut to BootTimeout and ProbeTimeout",
	"workerpool.Booting":             "what was spent is the host's to say, as long as its sum is finite", "workerpool.Idle": "see Booting",
	"workerpool.Busy": "see Booting", "workerpool.Leaving": "see Booting",
	"workspaces.Rules": "the store sets it",
	"workerpool.Total": "nobody reads it", "workerpool.PerHour": "nobody reads it",
}

// absurd are the values that a field of a kind cannot be meant to have.
func absurd(f reflect.Value) []any {
	switch {
	case f.Type() == reflect.TypeFor[time.Duration]():
		return []any{time.Duration(math.MaxInt64), invalid.MaxDuration + 1}
	case f.Kind() == reflect.Float64:
		return []any{math.MaxFloat64}
	case f.Type().Bits() < 64:
		return []any{int64(1)<<(f.Type().Bits()-1) - 1}
	}
	return []any{int64(math.MaxInt64), int64(invalid.MaxCount + 1)}
}

// Every number of every configuration that is larger than anybody can mean is refused by its own name, or listed as accepted.
func TestAbsurdFieldsAreRefusedByName(t *testing.T) {
	fields, accepted := 0, make(map[string]string)
	for pkg, c := range constructors(t) {
		paths, names := numbers(c.config)
		for i, path := range paths {
			name := pkg + "." + names[i]
			for _, n := range absurd(reflect.New(c.config).Elem().FieldByIndex(path)) {
				err := c.with(func(v reflect.Value) { f := v.FieldByIndex(path); f.Set(reflect.ValueOf(n).Convert(f.Type())) })
				fields++
				var refused *invalid.Error
				switch reason, ok := unbounded[name]; {
				case ok && err != nil:
					t.Errorf("%s = %v: %v, but it is accepted: %s", name, n, err, reason)
				case ok:
					accepted[name] = reason
				case !errors.As(err, &refused):
					t.Errorf("%s = %v: %v, want a refusal", name, n, err)
				case refused.Rule == "" || refused.Field != "Config.Spent" && !strings.HasSuffix("."+refused.Field, "."+names[i]):
					t.Errorf("%s = %v is refused as %s: %v", name, n, refused.Field, err)
				}
			}
		}
	}
	if len(accepted) != len(unbounded) {
		t.Errorf("fields that are not there are listed as accepted: of %d only %v", len(unbounded), accepted)
	}
	t.Logf("%d inputs", fields)
}

// What is not a number is refused wherever a number with a fraction is expected.
func TestFieldsThatAreNoNumberAreRefused(t *testing.T) {
	for pkg, c := range constructors(t) {
		paths, names := numbers(c.config)
		for i, path := range paths {
			if c.config.FieldByIndex(path).Type.Kind() != reflect.Float64 {
				continue
			}
			if pkg == "workerpool" && (names[i] == "Total" || names[i] == "PerHour") {
				continue // nobody reads them
			}
			err := c.with(func(v reflect.Value) { v.FieldByIndex(path).SetFloat(math.NaN()) })
			if !errors.Is(err, invalid.Err) {
				t.Errorf("%s.%s = NaN: %v, want a refusal", pkg, names[i], err)
			}
		}
	}
}
