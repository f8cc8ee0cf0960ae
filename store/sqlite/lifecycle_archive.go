package sqlite

// archiveBuild moves the latest builds of workspaces that are current aside for new ones. The table refuses one that is
// active.
var archiveBuild = newMany(`
WITH k(workspace_id, number, revision) AS (VALUES %s)
INSERT INTO {builds} (workspace_id,`+buildColumns.names("")+`)
SELECT w.id,`+buildColumns.names("w.build_")+`
FROM k CROSS JOIN {workspaces} w ON w.id = k.workspace_id AND w.build_number = k.number
	AND w.revision + (SELECT revision FROM {owners} o WHERE o.id = w.owner_id)
		+ (SELECT revision FROM {templates} t WHERE t.id = w.template_id) = k.revision`, 3)

// archive moves builds aside for many changes at once, where all of them are current. The others are left to be looked at
// one by one, to know which is not; claims are too.
func (b *batch) archive(t *tx) error {
	b.archived = make([]bool, len(b.changes))
	var from []int
	for i := range b.changes {
		if c := &b.changes[i]; c.NewBuild && c.Build.Number > 1 && !c.Claims && b.members == nil {
			from = append(from, i)
		}
	}
	return archiveBuild.each(len(from), func(statement string, first, end int) error {
		if end-first == 1 {
			return nil
		}
		done, err := t.attempt(func() (bool, error) {
			b.args = b.args[:0]
			for _, i := range from[first:end] {
				c := &b.changes[i]
				b.args = append(b.args, blob(c.Workspace.ID), c.Build.Number-1, c.Revision)
			}
			n, err := t.exec(statement, b.args...)
			return n == int64(end-first), err
		})
		for _, i := range from[first:end] {
			b.archived[i] = done
		}
		return err
	})
}
