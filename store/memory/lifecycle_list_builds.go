package memory

import (
	"context"
	"slices"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// FleetBuilds implements [lifecycle.Catalog]. It reads every build and sorts those that match.
func (s *Store) FleetBuilds(ctx context.Context, q lifecycle.BuildQuery) ([]lifecycle.FleetBuild, error) {
	if err := q.Validate(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	type place struct {
		lifecycle.Build
		workspace, slot uint32
	}
	var places []place
	s.everything(func(workspace uint32) bool {
		r := s.fleet.rows.at(workspace)
		for slot := r.build; slot != none; slot = s.fleet.builds.at(slot).previous {
			p := place{workspace: workspace, slot: slot}
			s.fleet.builds.at(slot).readInto(&p.Build, &s.fleet.reasons)
			if q.Matches(r.organization, &p.Build) {
				places = append(places, p)
			}
		}
		return true
	})
	slices.SortFunc(places, func(a, b place) int { return q.Compare(&a.Build, &b.Build) })
	found := make([]lifecycle.FleetBuild, min(len(places), q.Limit))
	var of lifecycle.Snapshot
	for i, p := range places[:len(found)] {
		of = lifecycle.Snapshot{}
		s.read(p.workspace, &of)
		s.fleet.readBuild(p.slot, &p.Build)
		found[i] = fleetBuild(p.Build, &of.Workspace)
	}
	return found, ctx.Err()
}

func fleetBuild(b lifecycle.Build, w *lifecycle.Workspace) lifecycle.FleetBuild {
	return lifecycle.FleetBuild{
		Build: b, WorkspaceID: w.ID, OrganizationID: w.OrganizationID, OwnerID: w.OwnerID, TemplateID: w.TemplateID, Name: w.Name,
	}
}
