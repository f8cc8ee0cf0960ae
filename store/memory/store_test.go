package memory_test

import (
	"strings"
	"testing"

	"github.com/dormouse-go/dormouse/store"
	"github.com/dormouse-go/dormouse/store/memory"
	"github.com/dormouse-go/dormouse/store/storetest"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return memory.New() }, storetest.Options{
		Corrupt: memory.Corrupt,
		Like:    func() store.Store { return memory.New() },
		Dump: func(t *testing.T, s store.Store) string {
			var b strings.Builder
			if err := s.(*memory.Store).Dump(&b); err != nil {
				t.Fatal(err)
			}
			return b.String()
		},
	})
}
