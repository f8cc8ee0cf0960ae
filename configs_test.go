package dormouse_test

import (
	"context"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/worker"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/lifecycle/forecast/shadow"
	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/rendercache"
	"github.com/dormouse-go/dormouse/store/memory"
	"github.com/dormouse-go/dormouse/workerpool"
)

// What a constructor needs besides its configuration, and never calls.
type (
	source   struct{ worker.Source }
	backend  struct{ prewarm.Backend }
	machines struct{ workerpool.InstanceSet }
	commands struct{ workerpool.Executor }
	jobs     struct{ workerpool.Queue }
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

func constructors() map[string]constructor {
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
		"rendercache": made(rendercache.Config[string, string]{}, func(c rendercache.Config[string, string]) error {
			_, err := rendercache.New(c)
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
	"acquirer.Grace": true, "acquirer.MaxLog": true, "acquirer.Retention": true,
	"workerpool.Total": true, "workerpool.PerHour": true, // sums of the other fields of Config.Spent
}

// Every number of every configuration that must not be negative is refused by its own name.
func TestNegativeFieldsAreRefusedByName(t *testing.T) {
	fields := 0
	for pkg, c := range constructors() {
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
