UPDATE {workspaces} SET name = ?1, owner_id = ?2, revision = revision
+ (SELECT revision FROM {owners} o WHERE o.id = owner_id) - (SELECT revision FROM {owners} o WHERE o.id = ?2)
WHERE id = ?3
