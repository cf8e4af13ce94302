-- The tables of the daemon. Times are milliseconds since the Unix epoch; ids are UUIDv7 text;
-- states are the names of spectask-protocol. Tables are the truth; events are outbox and audit.

CREATE TABLE project (
    id          TEXT PRIMARY KEY,
    common_dir  TEXT NOT NULL UNIQUE,
    root        TEXT NOT NULL,
    created_at  INTEGER NOT NULL
) STRICT;

CREATE TABLE trust (
    project     TEXT NOT NULL REFERENCES project (id),
    digest      TEXT NOT NULL,
    at          INTEGER NOT NULL,
    PRIMARY KEY (project, digest)
) STRICT, WITHOUT ROWID;

CREATE TABLE spec_task (
    id              TEXT PRIMARY KEY,
    number          INTEGER NOT NULL UNIQUE,
    slug            TEXT NOT NULL,
    project         TEXT NOT NULL REFERENCES project (id),
    title           TEXT NOT NULL,
    prompt          TEXT NOT NULL,
    status          TEXT NOT NULL,
    mode            TEXT NOT NULL,
    planning_agent  TEXT NOT NULL,
    agent           TEXT NOT NULL,
    session_limit   INTEGER NOT NULL,
    paused          INTEGER NOT NULL DEFAULT 0,
    archived        INTEGER NOT NULL DEFAULT 0,
    base            TEXT NOT NULL,
    target          TEXT,
    verify          TEXT,
    revision        INTEGER,
    approved        INTEGER,
    tip             TEXT,
    start_requested INTEGER NOT NULL DEFAULT 0,
    done            INTEGER NOT NULL DEFAULT 0,
    total           INTEGER NOT NULL DEFAULT 0,
    error           TEXT,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL
) STRICT;
CREATE INDEX spec_task_open ON spec_task (status) WHERE status NOT IN ('done', 'cancelled');
CREATE INDEX spec_task_project ON spec_task (project);

CREATE TABLE revision (
    task         TEXT NOT NULL REFERENCES spec_task (id),
    number       INTEGER NOT NULL,
    author       TEXT NOT NULL,
    requirements TEXT NOT NULL,
    design       TEXT NOT NULL,
    tasks        TEXT NOT NULL,
    digest       TEXT NOT NULL,
    findings     TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    PRIMARY KEY (task, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE review (
    id        INTEGER PRIMARY KEY,
    task      TEXT NOT NULL REFERENCES spec_task (id),
    revision  INTEGER NOT NULL,
    decision  TEXT NOT NULL,
    comment   TEXT,
    comments  TEXT NOT NULL,
    at        INTEGER NOT NULL
) STRICT;
CREATE INDEX review_task ON review (task);

-- `open_dependencies` is kept by the writer, so that what is ready is one index range.
CREATE TABLE implementation_task (
    id                INTEGER PRIMARY KEY,
    task              TEXT NOT NULL REFERENCES spec_task (id),
    number            TEXT NOT NULL,
    position          INTEGER NOT NULL,
    title             TEXT NOT NULL,
    body              TEXT NOT NULL,
    optional          INTEGER NOT NULL,
    wave              INTEGER NOT NULL,
    status            TEXT NOT NULL,
    open_dependencies INTEGER NOT NULL,
    requirements      TEXT NOT NULL,
    resources         TEXT NOT NULL,
    session           TEXT,
    UNIQUE (task, number)
) STRICT;
CREATE INDEX implementation_task_ready
    ON implementation_task (task, wave, position) WHERE status = 'pending' AND optional = 0;

CREATE TABLE implementation_dependency (
    dependent   INTEGER NOT NULL REFERENCES implementation_task (id),
    dependency  INTEGER NOT NULL REFERENCES implementation_task (id),
    PRIMARY KEY (dependency, dependent)
) STRICT, WITHOUT ROWID;
CREATE INDEX implementation_dependency_of ON implementation_dependency (dependent);

CREATE TABLE work_session (
    id                  TEXT PRIMARY KEY,
    task                TEXT NOT NULL REFERENCES spec_task (id),
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
    UNIQUE (task, number)
) STRICT;
CREATE INDEX work_session_open
    ON work_session (task) WHERE status NOT IN ('completed', 'failed', 'cancelled');

CREATE TABLE turn (
    session     TEXT NOT NULL REFERENCES work_session (id),
    number      INTEGER NOT NULL,
    purpose     TEXT NOT NULL,
    status      TEXT NOT NULL,
    reason      TEXT,
    started_at  INTEGER NOT NULL,
    ended_at    INTEGER,
    PRIMARY KEY (session, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX turn_running ON turn (status) WHERE status = 'running';

CREATE TABLE agent_process (
    id             INTEGER PRIMARY KEY,
    session        TEXT,
    agent          TEXT NOT NULL,
    pid            INTEGER NOT NULL,
    start_time     INTEGER NOT NULL,
    process_group  INTEGER NOT NULL,
    started_at     INTEGER NOT NULL,
    ended_at       INTEGER
) STRICT;
CREATE INDEX agent_process_open ON agent_process (pid) WHERE ended_at IS NULL;

CREATE TABLE permission (
    id          TEXT PRIMARY KEY,
    session     TEXT NOT NULL REFERENCES work_session (id),
    title       TEXT NOT NULL,
    kind        TEXT NOT NULL,
    options     TEXT NOT NULL,
    answer      TEXT,
    asked_at    INTEGER NOT NULL,
    answered_at INTEGER
) STRICT;
CREATE INDEX permission_open ON permission (session) WHERE answered_at IS NULL;

CREATE TABLE event (
    seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    at       INTEGER NOT NULL,
    task     TEXT,
    session  TEXT,
    kind     TEXT NOT NULL,
    body     TEXT NOT NULL
) STRICT;
CREATE INDEX event_task ON event (task, seq);

-- One row per batch of frames: a zstd-compressed JSON array, redacted before it came here.
CREATE TABLE transcript (
    session      TEXT NOT NULL REFERENCES work_session (id),
    first_index  INTEGER NOT NULL,
    count        INTEGER NOT NULL,
    frames       BLOB NOT NULL,
    PRIMARY KEY (session, first_index)
) STRICT;

CREATE TABLE blob (
    digest  TEXT PRIMARY KEY,
    size    INTEGER NOT NULL,
    data    BLOB NOT NULL
) STRICT;

CREATE TABLE cursor (
    name  TEXT PRIMARY KEY,
    seq   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Small secrets of this installation that are no credentials, such as the key of the redaction hash.
CREATE TABLE setting (
    name   TEXT PRIMARY KEY,
    value  BLOB NOT NULL
) STRICT, WITHOUT ROWID;
