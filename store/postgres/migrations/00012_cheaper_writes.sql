-- +goose Up

-- The running jobs of an organization stand in jobs_listed too. Only claims with limits read them, and every claim wrote them.
DROP INDEX dormouse.jobs_running;

-- Builds go with their workspace, as before. The foreign key that saw to it also looked up and locked the workspace of each
-- build that was stored, though whoever stores one has that workspace locked already.
ALTER TABLE dormouse.builds DROP CONSTRAINT builds_workspace_id_fkey;

-- +goose StatementBegin
CREATE FUNCTION dormouse.delete_builds() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM dormouse.builds b USING gone g WHERE b.workspace_id = g.id;
    RETURN NULL;
END
$$;
-- +goose StatementEnd

CREATE TRIGGER workspaces_builds AFTER DELETE ON dormouse.workspaces
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION dormouse.delete_builds();

INSERT INTO dormouse.migrations (version, min_reader) VALUES (12, 1);
