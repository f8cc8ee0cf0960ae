package memory_test

import (
	"testing"

	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/store/memory"
	"github.com/dormouse-go/dormouse/store/storetest"
)

func TestMembersConformance(t *testing.T) {
	storetest.Members(t, func(*testing.T) prewarm.Store { return memory.NewMembers() })
}
