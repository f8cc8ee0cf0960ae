package rendercache

import (
	"cmp"
	"log/slog"
	"time"

	"github.com/coder/quartz"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/rendercache/internal/rules"
)

const (
	defaultCleanupInterval = 15 * time.Minute
	defaultMaxEntries      = 10_000
	defaultNamespace       = "dormouse"
	defaultOwnerShare      = 1.0 / 8
	defaultMaxRenders      = 256

	// largestMaxEntries keeps positions inside a shard well within their 32 bits.
	largestMaxEntries = 1 << 30
	// atOnce is more than are ever stored at the same moment, beyond the limit.
	atOnce = 1 << 16
)

// Config configures a [Cache]. The zero value works.
type Config[K comparable, V any] struct {
	// TTL is how long an entry lives since its last use. A use is recorded when it is more than TTL/4096, at most
	// 100 ms, later than the recorded one. Defaults to 1 hour.
	TTL time.Duration

	// MaxAge is how long an entry lives since it was rendered, however often it is used. Set it when a render reads
	// data that its key does not stand for; 12 hours suit owners that are people. Defaults to 0: no limit.
	MaxAge time.Duration

	// CleanupInterval is the time between two removals of everything expired. Defaults to 15 minutes.
	CleanupInterval time.Duration

	// MaxEntries limits the number of entries. Defaults to 10,000. Room is made after a value is stored and before the call
	// that stored it returns, so both limits can be passed for a moment by what is being stored just then: one value for each
	// Put and each render that is ending.
	MaxEntries int

	// MaxWeight limits the sum of the weights, in the unit of Weigh (bytes, usually). A value heavier than all of it
	// is returned but not kept. Defaults to 0: no limit.
	MaxWeight int64

	// Weigh returns the weight of a value; less than 1 counts as 1, and more than MaxInt64/(MaxEntries+65,536) as that, so
	// that no sum of weights overflows. It is called once per value, without locks.
	// Defaults to nil: every entry weighs 1.
	Weigh func(K, V) int64

	// ErrorTTL returns how long a failure is remembered: until then callers get it instead of a new render. Uses do not
	// prolong it. Return 0 for a failure that may not happen again. Context errors, panics and Goexit are never remembered,
	// and ErrorTTL is not called for them. Defaults to nil: no failure is remembered.
	ErrorTTL func(error) time.Duration

	// RefreshAfter is the age above which a hit returns the value it found and starts a render in the background. A failed
	// or incomplete refresh leaves the old value and is tried again no sooner than RefreshAfter later.
	// Defaults to 0: never.
	RefreshAfter time.Duration

	// OwnerShare is the part of MaxEntries and of MaxWeight that is an owner's (see Groups). When room has to be made, what
	// owners hold beyond it goes first, so that the keys of one do not push out those of all others. An owner takes more while
	// nobody needs it. It is also the part of MaxConcurrentRenders that no owner takes alone. 1 is no share: all are equal
	// then. Defaults to 1/8.
	OwnerShare float64

	// MaxConcurrentRenders limits the renders that run at once; the others wait for their turn under the same rules as if
	// they ran, owner by owner. What a render renders through the same cache runs in that render's place. Defaults to 256.
	MaxConcurrentRenders int

	// Groups returns the version and the owner that a key belongs to, for InvalidateVersion and InvalidateOwner;
	// uuid.Nil belongs to no group. It must be pure. For a new key it is called without locks first, so that a panic reaches
	// the caller and leaves the cache as it was; later calls for that key have a lock held.
	// Defaults to the fields of Key when K is Key, else to nil: no groups.
	Groups func(K) (version, owner uuid.UUID)

	// OnEvict is called with every value that leaves the cache, without locks and from any goroutine. It may use the
	// cache but must not close it. A panic in it is logged and goes no further. Defaults to nil.
	OnEvict func(K, V, EvictCause)

	// KeyLog records every request, for package [github.com/dormouse-go/dormouse/rendercache/replay].
	// Defaults to nil: nothing is recorded.
	KeyLog *KeyLog

	// Clock gives the time and runs the clean-up. Defaults to the real clock.
	Clock quartz.Clock

	// Logger receives panics of renders and hooks at Error, and misses with their cause at Debug: names of parameters,
	// never their values. Defaults to slog.Default().
	Logger *slog.Logger

	// Registerer receives the metrics in New, which fails if they cannot be registered; Close unregisters them, so that
	// a later cache may take their place. Caches that share a registerer need different Instances.
	// Defaults to nil: no metrics. Stats works either way.
	Registerer prometheus.Registerer

	// Namespace is the first part of the metrics' names: <Namespace>_render_cache_<name>. Defaults to "dormouse".
	Namespace string

	// Instance tells this cache from others of the same process: it is the label "instance" of its metrics and an
	// attribute of its log records. Defaults to "": no label and no attribute.
	Instance string

	// ClassicMetrics also exports hits_total, misses_total and size_entries, under the same prefix, for dashboards
	// that were made for the render cache proposed to Coder (with Namespace "coderd_prebuilds"). Defaults to false.
	ClassicMetrics bool
}

func (c Config[K, V]) withDefaults() Config[K, V] {
	if c.TTL == 0 {
		c.TTL = rules.DefaultTTL
	}
	if c.CleanupInterval == 0 {
		c.CleanupInterval = defaultCleanupInterval
	}
	if c.MaxEntries == 0 {
		c.MaxEntries = defaultMaxEntries
	}
	if c.OwnerShare == 0 {
		c.OwnerShare = defaultOwnerShare
	}
	if c.MaxConcurrentRenders == 0 {
		c.MaxConcurrentRenders = defaultMaxRenders
	}
	if c.Groups == nil {
		c.Groups, _ = any(Key.groups).(func(K) (uuid.UUID, uuid.UUID))
	}
	if c.Clock == nil {
		c.Clock = quartz.NewReal()
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Instance != "" {
		c.Logger = c.Logger.With(slog.String("instance", c.Instance))
	}
	if c.Namespace == "" {
		c.Namespace = defaultNamespace
	}
	return c
}

func (c Config[K, V]) validate() error {
	err := cmp.Or(
		invalid.Duration("Config.TTL", c.TTL),
		invalid.Duration("Config.MaxAge", c.MaxAge),
		invalid.Duration("Config.CleanupInterval", c.CleanupInterval),
		invalid.Duration("Config.RefreshAfter", c.RefreshAfter),
		invalid.Count("Config.MaxConcurrentRenders", c.MaxConcurrentRenders),
	)
	switch {
	case err != nil:
		return err
	case c.MaxEntries < 0 || c.MaxEntries > largestMaxEntries:
		return invalid.New("Config.MaxEntries", c.MaxEntries, "must be between 0 and %d", largestMaxEntries)
	case c.MaxWeight < 0:
		return invalid.New("Config.MaxWeight", c.MaxWeight, "must not be negative")
	case c.MaxWeight > 0 && c.Weigh == nil:
		return invalid.New("Config.MaxWeight", c.MaxWeight, "needs Config.Weigh")
	case !(c.OwnerShare >= 0 && c.OwnerShare <= 1):
		return invalid.New("Config.OwnerShare", c.OwnerShare, "must be between 0 and 1")
	case c.MaxAge > 0 && c.RefreshAfter >= c.MaxAge:
		return invalid.New("Config.RefreshAfter", c.RefreshAfter,
			"must be shorter than Config.MaxAge, %v: nothing lives long enough to be refreshed", c.MaxAge)
	}
	return nil
}
