// Package handoff_test lets real processes hand out jobs over one PostgreSQL, kills, freezes and cuts them off, loses their
// answers after the commit, and afterwards proves from the database alone that no job ran under two live leases, that none
// was lost, and that every fencing number was higher than the one before. See package harm for how long that takes, and
// how to do it again.
package handoff_test

import (
	"testing"

	"github.com/dormouse-go/dormouse/internal/e2e/internal/harm"
)

func TestMain(m *testing.M) { harm.Main(m, runProcess) }
