package postgres_test

import (
	"testing"

	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/store/storetest"
)

func TestMembersConformance(t *testing.T) {
	s, pool := open(t)
	storetest.Members(t, func(t *testing.T) prewarm.Store {
		exec(t, pool, `DELETE FROM dormouse.members; DELETE FROM dormouse.pools`)
		return s
	})
}
