-- What the recorder wrote to git, and where it finds what to write.

-- Commits of code and the turns they came of. Tree and patch id find them after a rebase or squash.
CREATE TABLE turn_commit (
    id        TEXT PRIMARY KEY,
    session   TEXT NOT NULL,
    turn      INTEGER NOT NULL,
    tree      TEXT NOT NULL,
    patch_id  TEXT,
    at        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX turn_commit_tree ON turn_commit (tree);
CREATE INDEX turn_commit_patch ON turn_commit (patch_id) WHERE patch_id IS NOT NULL;
CREATE INDEX turn_commit_turn ON turn_commit (session, turn);

-- How many entries the transcript of the session had when the event was committed (for one of a
-- SpecTask: that of its planning session): one order of events and frames, whenever it is read.
ALTER TABLE event ADD COLUMN entries INTEGER;
CREATE INDEX event_session ON event (session, seq) WHERE session IS NOT NULL;
