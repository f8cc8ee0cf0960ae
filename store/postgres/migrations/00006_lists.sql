-- What people look for: workspaces by status and by name, in an organization.
--
-- The numbers are those of lifecycle.Status, and the order of the cases that of Snapshot.Status. Adding the column writes the
-- table anew, some seconds for a million workspaces.
ALTER TABLE dormouse.workspaces ADD COLUMN status smallint NOT NULL GENERATED ALWAYS AS (
    CASE
        WHEN deleted THEN 6
        WHEN managed THEN 12
        WHEN build_status = 3 THEN 7
        WHEN build_status BETWEEN 1 AND 2 THEN CASE build_transition WHEN 2 THEN 3 WHEN 3 THEN 5 ELSE 1 END
        WHEN attention_at IS NOT NULL THEN 11
        WHEN dormant_at IS NOT NULL THEN 10
        WHEN build_status = 5 THEN 9
        WHEN build_status = 6 THEN 8
        ELSE CASE build_transition WHEN 1 THEN 2 WHEN 2 THEN 4 WHEN 3 THEN 6 ELSE 0 END
    END) STORED;

CREATE INDEX workspaces_status ON dormouse.workspaces (organization_id, status, id);
-- In the order of bytes, whatever the database sorts by. An entry must not become too large; new names cannot be that long.
CREATE INDEX workspaces_name ON dormouse.workspaces (organization_id, name COLLATE "C", id) WHERE octet_length(name) <= 2000;

INSERT INTO dormouse.migrations (version, min_reader) VALUES (6, 1);
