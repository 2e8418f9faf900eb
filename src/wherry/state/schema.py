"""The schema, as numbered migrations: append a new one, never edit one that has shipped."""

from __future__ import annotations

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE container (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, document BLOB NOT NULL);

    CREATE TABLE image (id TEXT PRIMARY KEY, document BLOB NOT NULL);
    CREATE TABLE image_reference (name TEXT PRIMARY KEY, image_id TEXT NOT NULL REFERENCES image (id));
    CREATE TABLE content (digest TEXT PRIMARY KEY, size INTEGER NOT NULL);
    CREATE TABLE snapshot (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        key TEXT NOT NULL UNIQUE,
        parent TEXT REFERENCES snapshot (key),
        kind TEXT NOT NULL CHECK (kind IN ('committed', 'active')),
        size INTEGER NOT NULL DEFAULT 0
    );
    CREATE TABLE lease (id TEXT NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL, PRIMARY KEY (id, kind, key));

    CREATE TABLE network (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, document BLOB NOT NULL);
    CREATE TABLE endpoint (
        id TEXT PRIMARY KEY,
        network_id TEXT NOT NULL REFERENCES network (id),
        container_id TEXT NOT NULL,
        document BLOB NOT NULL
    );

    CREATE TABLE volume (name TEXT PRIMARY KEY, document BLOB NOT NULL);
    CREATE TABLE event (sequence INTEGER PRIMARY KEY AUTOINCREMENT, time_ns INTEGER NOT NULL, document BLOB NOT NULL);
    CREATE INDEX event_time ON event (time_ns)
    """,
    """
    CREATE TABLE blob_source (
        digest TEXT NOT NULL,
        repository TEXT NOT NULL,
        diff_id TEXT NOT NULL,
        size INTEGER NOT NULL,
        PRIMARY KEY (digest, repository)
    );
    CREATE INDEX blob_source_diff ON blob_source (diff_id);
    CREATE TABLE image_use (image_id TEXT PRIMARY KEY, used_ns INTEGER NOT NULL)
    """,
)
