package rendercache

import (
	"context"
	"fmt"
	"time"
)

// Origin says how a call got its result.
type Origin uint8

const (
	// Rendered: this call started the render.
	Rendered Origin = iota
	// Shared: this call joined a render that was running.
	Shared
	// Hit: the value was there.
	Hit
	// Refreshed: the value was there, and a refresh in the background had rendered it.
	Refreshed
	// Remembered: the failure was there, kept by Config.ErrorTTL.
	Remembered
)

// String returns the origin in lower case.
func (s Origin) String() string {
	return name(s, "rendered", "shared", "hit", "refreshed", "remembered")
}

// Request is the argument of [Cache.Do].
type Request[K comparable, V any] struct {
	// Key is what the result is kept under.
	Key K
	// Render makes the value. See [Cache.Render].
	Render func(context.Context) (V, error)
	// Params are the parameters that the key stands for. With them a miss can name those that differ from the last similar
	// key. They are read on a miss only, and names are kept but values are not. Optional.
	Params map[string]string
}

// Result is a value and where it came from.
type Result[V any] struct {
	// Value is what was rendered or found, the zero value with an error.
	Value V
	// Origin says how this call got the value.
	Origin Origin
	// RenderedAt is when its render ended, in the clock's location; zero when there was none.
	RenderedAt time.Time
	// Age is the time since RenderedAt.
	Age time.Duration
	// Miss says why the key was not found, when Origin is Rendered.
	Miss Miss
}

// String returns age and origin for people: "rendered 12 minutes ago, hit".
func (r Result[V]) String() string {
	if r.Origin == Rendered {
		return "rendered " + ago(r.Age)
	}
	return fmt.Sprintf("rendered %s, %s", ago(r.Age), r.Origin)
}

func ago(d time.Duration) string {
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		switch n := d / u.unit; {
		case n == 1:
			return "1 " + u.name + " ago"
		case n > 1:
			return fmt.Sprintf("%d %ss ago", n, u.name)
		}
	}
	return "just now"
}

// name returns the i-th of a closed enum's names.
func name[T ~uint8](i T, names ...string) string {
	if int(i) < len(names) {
		return names[i]
	}
	return fmt.Sprintf("unknown(%d)", uint8(i))
}
