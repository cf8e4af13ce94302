-- Threads from editors: sessions that belong to no SpecTask, what editors see, and messages.
-- `work_session` is made anew because SQLite cannot take NOT NULL from a column.

CREATE TABLE work_session_2 (
    id                  TEXT PRIMARY KEY,
    task                TEXT REFERENCES spec_task (id),
    number              INTEGER NOT NULL,
    slug                TEXT NOT NULL,
    title               TEXT NOT NULL,
    description         TEXT NOT NULL,
    phase               TEXT NOT NULL,
    status              TEXT NOT NULL,
    stage               TEXT NOT NULL,
    method              TEXT NOT NULL,
    parent              TEXT,
    implementation_task INTEGER REFERENCES implementation_task (id),
    agent               TEXT NOT NULL,
    branch              TEXT,
    worktree            TEXT,
    base                TEXT,
    head                TEXT,
    merged              TEXT,
    verified            INTEGER,
    verify_output       TEXT,
    fixes               INTEGER NOT NULL DEFAULT 0,
    crashes             INTEGER NOT NULL DEFAULT 0,
    rounds              INTEGER NOT NULL DEFAULT 0,
    next_prompt         TEXT,
    accept_empty        INTEGER NOT NULL DEFAULT 0,
    wait_kind           TEXT,
    wait_text           TEXT,
    wait_hint           TEXT,
    claim               TEXT,
    thread              TEXT NOT NULL,
    acp_session         TEXT,
    generation          INTEGER NOT NULL DEFAULT 0,
    created_at          INTEGER NOT NULL,
    started_at          INTEGER,
    ended_at            INTEGER,
    -- Of an ad hoc session: the folder it works in, which no clean-up may touch, and its project.
    cwd                 TEXT,
    project             TEXT REFERENCES project (id),
    UNIQUE (task, number)
) STRICT;
INSERT INTO work_session_2 (id, task, number, slug, title, description, phase, status, stage,
    method, parent, implementation_task, agent, branch, worktree, base, head, merged, verified,
    verify_output, fixes, crashes, rounds, next_prompt, accept_empty, wait_kind, wait_text,
    wait_hint, claim, thread, acp_session, generation, created_at, started_at, ended_at)
SELECT id, task, number, slug, title, description, phase, status, stage,
    method, parent, implementation_task, agent, branch, worktree, base, head, merged, verified,
    verify_output, fixes, crashes, rounds, next_prompt, accept_empty, wait_kind, wait_text,
    wait_hint, claim, thread, acp_session, generation, created_at, started_at, ended_at
FROM work_session;
DROP TABLE work_session;
ALTER TABLE work_session_2 RENAME TO work_session;
CREATE INDEX work_session_open
    ON work_session (task) WHERE status NOT IN ('completed', 'failed', 'cancelled');
-- NULLs are distinct to UNIQUE (task, number).
CREATE UNIQUE INDEX work_session_threads ON work_session (number) WHERE task IS NULL;

-- The request of the editor that the turn answers, so that one which is sent again runs once.
ALTER TABLE turn ADD COLUMN request TEXT;
CREATE UNIQUE INDEX turn_request ON turn (request) WHERE request IS NOT NULL;

-- What an editor calls a session. Its id becomes the work session's at the first prompt.
CREATE TABLE thread (
    id          TEXT PRIMARY KEY,
    entry       TEXT NOT NULL,
    agent       TEXT NOT NULL,
    project     TEXT REFERENCES project (id),
    cwd         TEXT NOT NULL,
    acp_session TEXT,
    title       TEXT,
    state       TEXT NOT NULL,
    task        TEXT REFERENCES spec_task (id),
    status      TEXT NOT NULL,
    deleted_at  INTEGER,
    created_at  INTEGER NOT NULL,
    used_at     INTEGER NOT NULL
) STRICT;
CREATE INDEX thread_used ON thread (used_at) WHERE deleted_at IS NULL;

-- `turn` is the one the message was part of; 0: shown in another way.
CREATE TABLE message (
    number       INTEGER PRIMARY KEY,
    id           TEXT NOT NULL UNIQUE,
    session      TEXT NOT NULL REFERENCES work_session (id),
    sender       TEXT REFERENCES work_session (id),
    kind         TEXT NOT NULL,
    text         TEXT NOT NULL,
    answers      TEXT,
    at           INTEGER NOT NULL,
    turn         INTEGER,
    delivered_at INTEGER
) STRICT;
CREATE INDEX message_session ON message (session);
CREATE INDEX message_sender ON message (sender);
CREATE INDEX message_waiting ON message (session) WHERE delivered_at IS NULL;
