package builds_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/examples/controlplane/builds"
	"github.com/dormouse-go/dormouse/lifecycle"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// history is a list of builds, the latest first, and how often it was asked.
type history struct {
	builds []lifecycle.FleetBuild
	asked  int
}

func (h *history) FleetBuilds(_ context.Context, q lifecycle.BuildQuery) (page []lifecycle.FleetBuild, err error) {
	h.asked++
	for _, b := range h.builds {
		if q.Matches(b.OrganizationID, &b.Build) && len(page) < q.Limit {
			page = append(page, b)
		}
	}
	return page, q.Validate()
}

// newHistory has a build each second before noon.
func newHistory(n int) *history {
	h := &history{}
	for i := range n {
		h.builds = append(h.builds, lifecycle.FleetBuild{
			Build: lifecycle.Build{ID: uuid.New(), Number: 1, CreatedAt: noon.Add(-time.Duration(i) * time.Second)}, Name: "api",
		})
	}
	return h
}

func (h *history) job(i int) queue.Job {
	return queue.Job{ID: h.builds[i].ID, Type: lifecycle.JobType, CreatedAt: h.builds[i].CreatedAt.Add(time.Second)}
}

// Jobs are found wherever they lie among the builds, in as few pages as they need; what is too far back, of another organization or no
// build is not.
func TestOf(t *testing.T) {
	h := newHistory(9000)
	h.builds[7].OrganizationID = uuid.New()
	for name, c := range map[string]struct {
		jobs        []queue.Job
		want, asked int
	}{
		"none":                       {nil, 0, 0},
		"no build":                   {[]queue.Job{{ID: h.builds[3].ID, Type: "render", CreatedAt: noon}}, 0, 0},
		"the latest":                 {[]queue.Job{h.job(0)}, 1, 1},
		"one in the past":            {[]queue.Job{h.job(8000)}, 1, 1},
		"some":                       {[]queue.Job{h.job(0), h.job(1500), h.job(2500)}, 3, 3},
		"further apart than is read": {[]queue.Job{h.job(0), h.job(8000)}, 1, 5},
		"another organization's":     {[]queue.Job{h.job(7)}, 0, 1},
		"one that is not kept":       {[]queue.Job{{ID: uuid.New(), Type: lifecycle.JobType, CreatedAt: noon}}, 0, 1},
	} {
		h.asked = 0
		found, err := builds.Of(t.Context(), h, uuid.Nil, c.jobs)
		if err != nil || len(found) != c.want || h.asked != c.asked {
			t.Errorf("%s: %d found in %d pages, %v, want %d in %d", name, len(found), h.asked, err, c.want, c.asked)
		}
		for id, b := range found {
			if b.ID != id {
				t.Errorf("%s: %s is said to be %s", name, id, b.ID)
			}
		}
	}
}
