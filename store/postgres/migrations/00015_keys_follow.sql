-- +goose Up

-- The keys of workspaces refer to owners and templates, so TRUNCATE of those with CASCADE truncates the keys, and not the workspaces, which
-- refer to nothing: they would be due and in nobody's list. It is refused. What truncates the workspaces takes their keys along.
-- +goose StatementBegin
CREATE FUNCTION dormouse.keep_workspace_keys() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM dormouse.workspaces) THEN -- all that the statement truncates is empty by now
        RAISE EXCEPTION 'the keys of workspaces cannot be truncated without the workspaces: truncate dormouse.workspaces with them';
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION dormouse.keep_workspace_keys() FROM PUBLIC;

CREATE TRIGGER workspace_keys_kept AFTER TRUNCATE ON dormouse.workspace_keys
    FOR EACH STATEMENT EXECUTE FUNCTION dormouse.keep_workspace_keys();

INSERT INTO dormouse.migrations (version, min_reader) VALUES (15, 1);
