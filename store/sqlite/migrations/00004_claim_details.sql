-- What the backend of a pool needs to hand a member over, NULL for nothing.
ALTER TABLE {members} ADD COLUMN claim_details TEXT;

INSERT INTO {migrations} (version, min_reader) VALUES (4, 1);
