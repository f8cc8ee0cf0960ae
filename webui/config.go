package webui

import (
	"cmp"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/coder/quartz"

	"github.com/dormouse-go/dormouse/invalid"
)

// Config says how the pages are shown. Viewer is needed; for everything else the zero value works.
type Config struct {
	// Viewer says who asks: the host's own login has been passed by then. False is answered with 403.
	Viewer func(*http.Request) (Viewer, bool)
	// Prefix is the path under which the handler is mounted, such as "/workspaces". Requests arrive with it. Defaults to
	// none.
	Prefix string
	// Actions lets viewers who may act do so, if the source is an [Actor]. Without it the pages are for reading.
	Actions bool
	// Zone is that of all times on the pages. Defaults to UTC.
	Zone *time.Location
	// Capacity is how many workspaces may run at once, 0 for not said.
	Capacity int
	// OverdueAfter is how long after its instant something that was not done is overdue. Defaults to 2 minutes: a tick, and
	// one more.
	OverdueAfter time.Duration
	// Refresh is how old what is shown may be. The source is asked for its workspaces at most that often, however many
	// people look. Defaults to 2 seconds.
	Refresh time.Duration
	// MaxStreams is how many pages may be kept up to date at once, a tenth of them of one owner; further ones are as they were
	// when they were loaded. Defaults to 1,000.
	MaxStreams int
	// MaxWorkspaces bounds how many workspaces are read and kept, about 2 kB each. The operator's page of a larger fleet shows
	// the first that the source yields, and says so; an owner sees all of theirs if the source is an [Owners]. Defaults to 20,000.
	MaxWorkspaces int
	// Clock tells the time. Defaults to the real one.
	Clock quartz.Clock
	// Logger is told what a source could not answer. Defaults to slog.Default().
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.Zone == nil {
		c.Zone = time.UTC
	}
	if c.OverdueAfter == 0 {
		c.OverdueAfter = 2 * time.Minute
	}
	if c.Refresh == 0 {
		c.Refresh = 2 * time.Second
	}
	if c.MaxStreams == 0 {
		c.MaxStreams = 1000
	}
	if c.MaxWorkspaces == 0 {
		c.MaxWorkspaces = 20_000
	}
	if c.Clock == nil {
		c.Clock = quartz.NewReal()
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

func (c Config) validate() error {
	switch {
	case c.Viewer == nil:
		return invalid.New("Config.Viewer", nil, "must say who asks: without it nobody could be kept out")
	case c.Prefix != "" && !isPrefix(c.Prefix):
		return invalid.New("Config.Prefix", c.Prefix, `must be like "/workspaces", of letters, digits, "-", "_", "." and "~"`)
	}
	return cmp.Or(
		invalid.Count("Config.Capacity", c.Capacity),
		invalid.Duration("Config.OverdueAfter", c.OverdueAfter),
		invalid.Duration("Config.Refresh", c.Refresh),
		invalid.Count("Config.MaxStreams", c.MaxStreams),
		invalid.Count("Config.MaxWorkspaces", c.MaxWorkspaces),
	)
}

// isPrefix reports whether a path can stand before patterns of http.ServeMux and in links as it is.
func isPrefix(p string) bool {
	for _, part := range strings.Split(p, "/")[1:] {
		if part == "" || part == "." || part == ".." || strings.Trim(part, letters) != "" {
			return false
		}
	}
	return p[0] == '/'
}

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~"
