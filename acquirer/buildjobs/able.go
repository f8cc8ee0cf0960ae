package buildjobs

import (
	"context"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// Able says whether anybody could run the jobs of a lane. A *acquirer.Acquirer does.
type Able interface {
	Able(l queue.Lane) bool
}

// Available answers whether a worker exists for a group of builds, which is what executor.Config.Available asks: busy ones
// count, dead ones do not. Its type parameter is executor.Group. The function says which organization the builds of a group
// are of, and which tags their jobs will have; tags that no job can have are an error.
//
//	Available: buildjobs.Available(acq, func(g executor.Group) (uuid.UUID, map[string]string) {
//		return g.Template.OrganizationID, nil
//	})
func Available[Group any](a Able, of func(Group) (organization uuid.UUID, tags map[string]string)) func(context.Context, Group) (bool, error) {
	return func(_ context.Context, g Group) (bool, error) {
		organization, tags := of(g)
		set, err := queue.NewTagSet(tags)
		if err != nil {
			return false, err
		}
		return a.Able(queue.Lane{Organization: organization, Type: lifecycle.JobType, Tags: set}), nil
	}
}
