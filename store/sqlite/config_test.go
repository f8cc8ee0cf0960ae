package sqlite_test

import (
	"database/sql"
	"errors"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
	"github.com/dormouse-go/dormouse/store/sqlite"
)

// What a store cannot work with is refused, and named.
func TestConfigIsChecked(t *testing.T) {
	db := new(sql.DB)
	for field, try := range map[string]func() (*sqlite.Store, error){
		"db":                 func() (*sqlite.Store, error) { return sqlite.New(nil, sqlite.Config{}) },
		"Config.Prefix":      func() (*sqlite.Store, error) { return sqlite.New(db, sqlite.Config{Prefix: "No"}) },
		"Config.BusyTimeout": func() (*sqlite.Store, error) { return sqlite.New(db, sqlite.Config{BusyTimeout: -1}) },
		"Options.Zone": func() (*sqlite.Store, error) {
			return sqlite.New(db, sqlite.Config{Schedules: schedule.Options{Zone: "No/Where"}})
		},
	} {
		s, err := try()
		var refused *invalid.Error
		if s != nil || !errors.As(err, &refused) || refused.Field != field {
			t.Errorf("%s: %v, %v, want a refusal by name", field, s, err)
		}
	}
}

func TestPrefixIsChecked(t *testing.T) {
	for _, prefix := range []string{"Host_", "1a", "_a", "a-b", `a"`, "aB", "sqlite_x", strings.Repeat("a", 41)} {
		_, made := sqlite.New(new(sql.DB), sqlite.Config{Prefix: prefix})
		_, files := sqlite.Migrations(prefix)
		if !errors.Is(made, invalid.Err) || !errors.Is(files, invalid.Err) {
			t.Errorf("prefix %q: %v, %v, must be refused", prefix, made, files)
		}
	}
	if files, err := sqlite.Migrations(""); files != nil || !errors.Is(err, invalid.Err) { // no default: files have no store
		t.Errorf("files without a prefix: %v, %v", files, err)
	}
	for _, prefix := range []string{"a", "a1_", strings.Repeat("a", 40)} {
		s, err := sqlite.New(openFile(t, filepath.Join(t.TempDir(), "dormouse.db")), sqlite.Config{Prefix: prefix})
		must(t, err)
		must(t, s.Migrate(t.Context()))
		must(t, s.PutOwner(t.Context(), killEpoch, lifecycle.Owner{ID: uuid.New()}))
	}
}

func TestBusyTimeoutIsChecked(t *testing.T) {
	for _, d := range []time.Duration{-1, math.MinInt64, invalid.MaxDuration + 1, math.MaxInt64} {
		_, err := sqlite.New(new(sql.DB), sqlite.Config{BusyTimeout: d})
		var refused *invalid.Error
		if !errors.As(err, &refused) || refused.Field != "Config.BusyTimeout" || refused.Value != d {
			t.Errorf("%d: %v, want a refusal by name", d, err)
		}
	}
}
