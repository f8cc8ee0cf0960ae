package memory_test

import (
	"testing"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/store/memory"
	"github.com/dormouse-go/dormouse/store/storetest"
)

func TestJobs(t *testing.T) {
	storetest.Jobs(t, func(*testing.T) queue.Store { return memory.NewJobs() }, storetest.Options{})
}

func TestCarrier(t *testing.T) {
	storetest.Carrier(t, func(*testing.T) (queue.Store, queue.Pubsub) { return memory.NewJobs(), &memory.Pubsub{} })
}
