package sqlite_test

import (
	"testing"

	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/store/storetest"
)

func TestMembersConformance(t *testing.T) {
	storetest.Members(t, func(t *testing.T) prewarm.Store { return newStore(t) })
}

func TestMembersConformanceInMemory(t *testing.T) {
	storetest.Members(t, func(t *testing.T) prewarm.Store {
		db := openFile(t, ":memory:")
		db.SetMaxOpenConns(1)
		return migrated(t, db)
	})
}
