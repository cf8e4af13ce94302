-- Zed's own threads, seen in its database and not recorded.

-- `source` is the database they were seen in, `id` Zed's id of the thread. `folders` are those of its
-- project, `repositories` those that linked worktrees among them belong to; both JSON lists of paths.
CREATE TABLE seen_thread (
    source       TEXT NOT NULL,
    id           TEXT NOT NULL,
    channel      TEXT NOT NULL,
    session      TEXT NOT NULL,
    title        TEXT,
    folders      TEXT NOT NULL,
    repositories TEXT NOT NULL,
    remote       INTEGER NOT NULL,
    archived     INTEGER NOT NULL,
    created_at   INTEGER,
    used_at      INTEGER NOT NULL,
    seen_at      INTEGER NOT NULL,
    -- When it was found to be gone; the row stays so that its id is not taken for unknown.
    deleted_at   INTEGER,
    PRIMARY KEY (source, id)
) STRICT;
CREATE INDEX seen_thread_id ON seen_thread (id);
