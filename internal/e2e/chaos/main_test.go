// Package chaos_test runs real processes over one PostgreSQL, kills them, cuts their connections and restarts the server,
// and afterwards proves from the database alone that nothing was done twice, too early, or not at all. See package harm
// for how long that takes, and how to do it again.
package chaos_test

import (
	"testing"

	"github.com/dormouse-go/dormouse/internal/e2e/internal/harm"
)

func TestMain(m *testing.M) { harm.Main(m, runReplica) }
