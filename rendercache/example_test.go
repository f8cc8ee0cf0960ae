package rendercache_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/coder/quartz"
	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/rendercache"
)

func Example() {
	cache, err := rendercache.New(rendercache.Config[rendercache.Key, string]{MaxAge: 12 * time.Hour})
	if err != nil {
		panic(err)
	}
	defer cache.Close()

	version, owner := uuid.New(), uuid.New()
	render := func(context.Context) (string, error) {
		fmt.Println("loading the template's files and rendering")
		return "4 cores", nil
	}
	for range 3 {
		key := rendercache.KeyOf(version, owner, map[string]string{"cpu": "4"})
		value, err := cache.Render(context.Background(), key, render)
		fmt.Println(value, err)
	}
	// Output:
	// loading the template's files and rendering
	// 4 cores <nil>
	// 4 cores <nil>
	// 4 cores <nil>
}

// A result can say where it comes from, and a miss why it was one.
func ExampleCache_Do() {
	cache, err := rendercache.New(rendercache.Config[rendercache.Key, string]{})
	if err != nil {
		panic(err)
	}
	defer cache.Close()

	version, owner := uuid.New(), uuid.New()
	for _, cpu := range []string{"4", "4", "8"} {
		params := map[string]string{"cpu": cpu, "region": "eu"}
		result, err := cache.Do(context.Background(), rendercache.Request[rendercache.Key, string]{
			Key:    rendercache.KeyOf(version, owner, params),
			Params: params,
			Render: func(context.Context) (string, error) { return cpu + " cores", nil },
		})
		fmt.Println(result.Value, err, result.Origin, result.Miss.Cause, result.Miss.Names)
	}
	// Output:
	// 4 cores <nil> rendered first []
	// 4 cores <nil> hit none []
	// 8 cores <nil> rendered parameters [cpu]
}

// A preset that can never succeed is asked for on every pass. Remembering its failure spares the renders.
func ExampleConfig_errorTTL() {
	errInvalid := errors.New("parameter cpu: 100 is more than 8")
	cache, err := rendercache.New(rendercache.Config[string, string]{
		ErrorTTL: func(err error) time.Duration {
			if errors.Is(err, errInvalid) {
				return 10 * time.Minute
			}
			return 0 // may be better next time
		},
	})
	if err != nil {
		panic(err)
	}
	defer cache.Close()

	renders := 0
	for range 5 {
		_, err = cache.Render(context.Background(), "preset", func(context.Context) (string, error) {
			renders++
			return "", errInvalid
		})
	}
	fmt.Println(renders, "render:", err)
	// Output: 1 render: parameter cpu: 100 is more than 8
}

// An incomplete result is good for those who wait for it, but not for those who come later.
func ExampleErrNoStore() {
	cache, err := rendercache.New(rendercache.Config[string, string]{})
	if err != nil {
		panic(err)
	}
	defer cache.Close()

	value, err := cache.Render(context.Background(), "key", func(context.Context) (string, error) {
		return "without its modules", fmt.Errorf("module archive is not there yet: %w", rendercache.ErrNoStore)
	})
	fmt.Println(value, err, cache.Len())
	// Output: without its modules <nil> 0
}

// With an injected clock a test decides what time it is.
func ExampleConfig_clock() {
	t := new(testing.T) // a test has its own
	clock := quartz.NewMock(t).WithLogger(quartz.NoOpLogger)
	cache, err := rendercache.New(rendercache.Config[string, string]{Clock: clock, TTL: 10 * time.Minute})
	if err != nil {
		panic(err)
	}
	defer cache.Close()

	cache.Put("key", "value")
	clock.Advance(10 * time.Minute)
	_, found := cache.Get("key") // a use, at exactly the TTL
	fmt.Println(found)
	clock.Advance(5 * time.Minute).MustWait(context.Background()) // the clean-up runs
	_, found = cache.Get("key")
	fmt.Println(found)
	clock.Advance(11 * time.Minute)
	_, found = cache.Get("key")
	fmt.Println(found)
	// Output:
	// true
	// true
	// false
}

// A group of builds of one template version holds its files for as long as the group lasts.
func ExampleHandles() {
	handles, err := rendercache.NewHandles(rendercache.HandlesConfig[uuid.UUID, []string]{
		OnRelease: func(_ uuid.UUID, files []string) { fmt.Println("closed", files) },
	})
	if err != nil {
		panic(err)
	}
	defer handles.Close()

	version := uuid.New()
	fetch := func(context.Context) ([]string, error) {
		fmt.Println("fetching")
		return []string{"main.tf"}, nil
	}
	group, err := handles.Acquire(context.Background(), version, fetch)
	if err != nil {
		panic(err)
	}
	for range 3 { // its jobs; each may hold the files for itself as well
		job, err := handles.Acquire(context.Background(), version, fetch)
		if err != nil {
			panic(err)
		}
		fmt.Println("using", job.Value())
		job.Release()
	}
	group.Release()
	// Output:
	// fetching
	// using [main.tf]
	// using [main.tf]
	// using [main.tf]
	// closed [main.tf]
}

// A component that may run without a cache holds the interface.
func ExampleNoop() {
	var memo rendercache.Memo[rendercache.Key, string] = rendercache.Noop[rendercache.Key, string]{}
	defer memo.Close()

	value, err := memo.Render(context.Background(), rendercache.Key{}, func(context.Context) (string, error) { return "rendered", nil })
	_, found := memo.Get(rendercache.Key{})
	fmt.Println(value, err, found)
	// Output: rendered <nil> false
}
