package sqlite

import (
	"log/slog"
	"strings"
	"time"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/schedule"
)

// Config says how a [Store] works. The zero value is ready to use.
type Config struct {
	// Prefix is what the names of all tables and indexes begin with, so that they can live in a host's own database. It
	// is made of lower-case letters, digits and underscores and begins with a letter. Defaults to "dormouse_".
	Prefix string
	// BusyTimeout bounds the wait for other processes that write. The context of each call bounds it too. Defaults to 10
	// seconds.
	BusyTimeout time.Duration
	// Schedules are the options of every schedule that the store reads. Default to the policy of package schedule.
	Schedules schedule.Options
	// Logger gets stored events that cannot be read, and changes of which the workspaces hear later. Defaults to slog.Default().
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.Prefix == "" {
		c.Prefix = "dormouse_"
	}
	if c.BusyTimeout == 0 {
		c.BusyTimeout = 10 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

func (c Config) validate() error {
	if err := checkPrefix(c.Prefix); err != nil {
		return err
	}
	if err := c.Schedules.Validate(); err != nil {
		return err
	}
	return invalid.Duration("Config.BusyTimeout", c.BusyTimeout)
}

const maxPrefix = 40

// checkPrefix keeps out what would have to be quoted: the prefix becomes a part of the statements.
func checkPrefix(prefix string) error {
	const letters, others = "abcdefghijklmnopqrstuvwxyz", "0123456789_"
	switch {
	case prefix == "" || !strings.Contains(letters, prefix[:1]) || strings.Trim(prefix, letters+others) != "":
		return invalid.New("Config.Prefix", prefix, "must be lower-case letters, digits and underscores, a letter first")
	case len(prefix) > maxPrefix:
		return invalid.New("Config.Prefix", prefix, "must not be longer than %d bytes", maxPrefix)
	case strings.HasPrefix(prefix, "sqlite_"):
		return invalid.New("Config.Prefix", prefix, "must not begin with sqlite_, which SQLite reserves")
	}
	return nil
}
