package postgres_test

import "testing"

// Builds go with their workspace, whoever deletes that, and nobody else's.
func TestBuildsGoWithTheirWorkspace(t *testing.T) {
	s, pool := open(t)
	f := newFleet(t, s, 3)
	exec(t, pool, `
		INSERT INTO dormouse.builds (workspace_id, number, id, version_id, transition, reason, status)
		SELECT w.id, n, gen_random_uuid(), gen_random_uuid(), 1, '', 4 FROM dormouse.workspaces w CROSS JOIN generate_series(1, 2) n`)
	exec(t, pool, `DELETE FROM dormouse.workspaces WHERE id IN ($1, $2)`, f.ids[0], f.ids[1])
	var gone, kept int
	must(t, pool.QueryRow(t.Context(), `
		SELECT count(*) FILTER (WHERE workspace_id <> $1), count(*) FILTER (WHERE workspace_id = $1) FROM dormouse.builds`, f.ids[2]).
		Scan(&gone, &kept))
	if gone != 0 || kept != 2 {
		t.Errorf("%d builds of deleted workspaces are left, %d of the one that is there, want 0 and 2", gone, kept)
	}
}
