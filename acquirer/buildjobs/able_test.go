package buildjobs_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/buildjobs"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
)

type ableFunc func(queue.Lane) bool

func (f ableFunc) Able(l queue.Lane) bool { return f(l) }

// The hook that a tick asks before it prepares builds is closed by the fleet of workers.
func TestAvailableAsksForTheLaneOfTheBuilds(t *testing.T) {
	var asked queue.Lane
	var able bool
	tags := map[string]string{"os": "linux"}
	var hook executor.Availability = buildjobs.Available(
		ableFunc(func(l queue.Lane) bool { asked = l; return able }),
		func(g executor.Group) (uuid.UUID, map[string]string) { return g.Template.OrganizationID, tags },
	)
	g := executor.Group{Template: lifecycle.Template{OrganizationID: uuid.New()}}
	for _, able = range []bool{false, true} {
		if got, err := hook(t.Context(), g); err != nil || got != able {
			t.Errorf("available: %v, %v; want %v", got, err, able)
		}
	}
	if asked.Organization != g.Template.OrganizationID || asked.Type != lifecycle.JobType || asked.Tags.Map()["os"] != "linux" {
		t.Errorf("asked for %+v", asked)
	}
	tags = map[string]string{"": "x"}
	if _, err := hook(t.Context(), g); err == nil {
		t.Error("tags that no job can have are not refused")
	}
}
