-- +goose Up

-- What workspaces are looked up by and no tick changes: of whom they are, of which template, under which name.
--
-- A tick moves wake_at, and PostgreSQL then writes an entry to each index of the row, whichever column the index is on. So the
-- indexes that no tick needs are on a table of their own, which is written when a workspace is made, handed over or removed. A
-- trigger does that, so that the two never differ, whoever writes: a replica of a version that does not know the table, or a person.
-- The foreign keys are here as well: on the workspaces they were looked at in each write of a row.
--
-- Filling the table takes some seconds for a million workspaces, and nothing else works on them meanwhile.
--
-- A role that does not see the workspaces would take over the keys of none.
-- +goose StatementBegin
DO $$
BEGIN
    IF row_security_active('dormouse.workspaces') THEN
        RAISE EXCEPTION 'row level security hides workspaces from this role: migrate as an owner of the tables for whom it is not forced, or with BYPASSRLS';
    END IF;
END
$$;
-- +goose StatementEnd
DROP INDEX dormouse.workspaces_template, dormouse.workspaces_owner, dormouse.workspaces_name;
ALTER TABLE dormouse.workspaces DROP CONSTRAINT workspaces_owner_id_fkey, DROP CONSTRAINT workspaces_template_id_fkey;

CREATE TABLE dormouse.workspace_keys (
    id              uuid NOT NULL,
    organization_id uuid NOT NULL,
    owner_id        uuid NOT NULL,
    template_id     uuid NOT NULL,
    name            text NOT NULL
);

INSERT INTO dormouse.workspace_keys SELECT id, organization_id, owner_id, template_id, name FROM dormouse.workspaces;

ALTER TABLE dormouse.workspace_keys
    ADD PRIMARY KEY (id),
    ADD FOREIGN KEY (owner_id) REFERENCES dormouse.owners,
    ADD FOREIGN KEY (template_id) REFERENCES dormouse.templates;
CREATE INDEX workspace_keys_template ON dormouse.workspace_keys (template_id, id);
CREATE INDEX workspace_keys_owner ON dormouse.workspace_keys (owner_id, id);
-- In the order of bytes, whatever the database sorts by. An entry must not become too large; new names cannot be that long.
CREATE INDEX workspace_keys_name ON dormouse.workspace_keys (organization_id, name COLLATE "C", id) WHERE octet_length(name) <= 2000;

-- It has the rights of the role that migrates: another, of a replica that runs meanwhile, may get its own to this table later.
-- +goose StatementBegin
CREATE FUNCTION dormouse.write_workspace_keys() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        IF EXISTS (SELECT FROM dormouse.workspace_keys) THEN -- the same statement may have truncated it
            TRUNCATE dormouse.workspace_keys;
        END IF;
        RETURN NULL;
    END IF;
    -- OLD and NEW only say which workspace it is: a trigger of the host that came before may have changed it once more.
    IF TG_OP <> 'INSERT' AND NOT EXISTS (SELECT FROM dormouse.workspaces WHERE id = OLD.id) THEN
        DELETE FROM dormouse.workspace_keys WHERE id = OLD.id;
        IF NOT FOUND AND EXISTS (SELECT FROM dormouse.workspace_keys WHERE id = OLD.id) THEN
            RAISE EXCEPTION 'a trigger kept the keys of workspace % from being deleted', OLD.id;
        END IF;
    END IF;
    IF TG_OP <> 'DELETE' THEN -- it may be there: in a dump it comes before the workspaces
        INSERT INTO dormouse.workspace_keys (id, organization_id, owner_id, template_id, name)
        SELECT id, organization_id, owner_id, template_id, name FROM dormouse.workspaces WHERE id = NEW.id
        ON CONFLICT (id) DO UPDATE SET organization_id = excluded.organization_id, owner_id = excluded.owner_id,
            template_id = excluded.template_id, name = excluded.name;
        IF NOT FOUND AND EXISTS (SELECT FROM dormouse.workspaces WHERE id = NEW.id) THEN
            RAISE EXCEPTION 'a trigger kept the keys of workspace % from being written', NEW.id;
        END IF;
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
-- Nobody else is to have a table of their own write to it with these rights.
REVOKE ALL ON FUNCTION dormouse.write_workspace_keys() FROM PUBLIC;

CREATE TRIGGER workspaces_keys AFTER INSERT OR DELETE ON dormouse.workspaces
    FOR EACH ROW EXECUTE FUNCTION dormouse.write_workspace_keys();
CREATE TRIGGER workspaces_keys_changed AFTER UPDATE ON dormouse.workspaces FOR EACH ROW
    WHEN ((OLD.id, OLD.organization_id, OLD.owner_id, OLD.template_id, OLD.name)
        IS DISTINCT FROM (NEW.id, NEW.organization_id, NEW.owner_id, NEW.template_id, NEW.name))
    EXECUTE FUNCTION dormouse.write_workspace_keys();
CREATE TRIGGER workspaces_keys_gone AFTER TRUNCATE ON dormouse.workspaces
    FOR EACH STATEMENT EXECUTE FUNCTION dormouse.write_workspace_keys();

INSERT INTO dormouse.migrations (version, min_reader) VALUES (14, 1);
