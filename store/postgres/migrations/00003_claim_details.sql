-- What the backend of a pool needs to hand a member over, NULL for nothing.
ALTER TABLE dormouse.members ADD COLUMN claim_details text;

INSERT INTO dormouse.migrations (version, min_reader) VALUES (3, 1);
