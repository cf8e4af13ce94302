-- The index that a search uses. It holds no text: `search_text` is contentless and without positions,
-- its words are pairs and triples of letters. What it finds is looked at in the transcript.

-- A stretch of a session's transcript, about 4 KiB of what was said.
CREATE TABLE search_block (
    id       INTEGER PRIMARY KEY,
    session  TEXT NOT NULL REFERENCES work_session (id),
    turn     INTEGER NOT NULL,
    first    INTEGER NOT NULL,
    end      INTEGER NOT NULL,
    at       INTEGER NOT NULL
) STRICT;
CREATE INDEX search_block_session ON search_block (session, turn);
CREATE VIRTUAL TABLE search_text USING fts5 (
    grams, content = '', contentless_delete = 1, detail = none, tokenize = 'ascii'
);

-- The files that a turn read or wrote, relative to the session's folder where they are in it.
CREATE TABLE search_file (
    session  TEXT NOT NULL REFERENCES work_session (id),
    turn     INTEGER NOT NULL,
    path     TEXT NOT NULL,
    PRIMARY KEY (session, turn, path)
) STRICT, WITHOUT ROWID;

-- The entry of the transcript that is indexed next.
CREATE TABLE search_progress (
    session  TEXT PRIMARY KEY REFERENCES work_session (id),
    next     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Turns that have ended and are not indexed, whoever ended them.
CREATE TABLE search_queue (
    session  TEXT NOT NULL,
    turn     INTEGER NOT NULL,
    PRIMARY KEY (session, turn)
) STRICT, WITHOUT ROWID;
INSERT INTO search_queue SELECT session, number FROM turn WHERE status <> 'running';
CREATE TRIGGER search_turn_ended AFTER UPDATE OF status ON turn WHEN new.status <> 'running'
BEGIN
    INSERT OR IGNORE INTO search_queue VALUES (new.session, new.number);
END;
-- What the daemon notes after the last turn.
CREATE TRIGGER search_session_ended AFTER UPDATE OF ended_at ON work_session
    WHEN old.ended_at IS NULL AND new.ended_at IS NOT NULL
BEGIN
    INSERT OR IGNORE INTO search_queue VALUES (new.id, 0);
END;
CREATE TRIGGER search_turn_kept AFTER INSERT ON turn WHEN new.status <> 'running'
BEGIN
    INSERT OR IGNORE INTO search_queue VALUES (new.session, new.number);
END;

-- The turns of a project, newest first.
CREATE INDEX turn_started ON turn (started_at);

-- A SpecTask of another machine, taken over from its refs to be read: nothing drives it.
ALTER TABLE spec_task ADD COLUMN imported INTEGER NOT NULL DEFAULT 0;
