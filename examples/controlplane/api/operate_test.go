package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/examples/controlplane/api"
	"github.com/dormouse-go/dormouse/examples/controlplane/auth"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store"
)

// buildless is a store that cannot say whose builds jobs are.
type buildless struct{ store.Store }

func (buildless) FleetBuilds(context.Context, lifecycle.BuildQuery) ([]lifecycle.FleetBuild, error) {
	return nil, errors.New("not now")
}

// What was done to a job is answered as done, also where the workspace that it is about cannot be read afterwards.
func TestAJobChangedWhoseWorkspaceCannotBeRead(t *testing.T) {
	var kept store.Store
	s := newService(t, func(c *api.Config) { kept, c.Store = c.Store, buildless{c.Store} })
	jobs, err := kept.Enqueue(t.Context(), time.Now(), []queue.Posting{{Organization: s.plane.Organization(), Type: lifecycle.JobType}})
	must(t, err)
	w := s.call(s.tokens[auth.Admin], "POST", "/api/v1/jobs/"+jobs[0].ID.String()+"/cancel", `{}`)
	var j api.Job
	if err := json.Unmarshal(w.Body.Bytes(), &j); err != nil || w.Code != http.StatusOK || j.ID != jobs[0].ID || j.State != "canceled" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
