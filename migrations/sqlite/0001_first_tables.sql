-- The tables of Auditstream. Times are epoch milliseconds, UTC. Every row carries its account. Yes and no are 1 and 0.
-- The twin in ../postgres has the same tables, columns and indexes.

CREATE TABLE account (
    id            INTEGER PRIMARY KEY,
    name          TEXT    NOT NULL UNIQUE,
    -- The last sequence given. Taken in the transaction that inserts the events, so that its lock orders commits.
    last_sequence INTEGER NOT NULL DEFAULT 0,
    -- When its event was received. Later ones count as received no earlier, whatever the clock says, so that the oldest
    -- events are the first by sequence.
    last_received INTEGER NOT NULL DEFAULT 0,
    -- Shown to those who set up a cross-account role; made by the server.
    external_id   TEXT    NOT NULL UNIQUE,
    created       INTEGER NOT NULL
) STRICT;

-- Keys that encrypt secrets. The newest is the one that encrypts.
CREATE TABLE data_key (
    id      INTEGER PRIMARY KEY,
    created INTEGER NOT NULL
) STRICT;

-- Each data key, wrapped by a master key; by two while one master key replaces another.
CREATE TABLE data_key_wrap (
    data_key_id INTEGER NOT NULL REFERENCES data_key (id) ON DELETE CASCADE,
    -- Tells master keys apart and nothing of them: 8 bytes of a hash.
    master_key  BLOB    NOT NULL,
    wrapped     BLOB    NOT NULL,
    -- Whether this master key is to replace the other.
    pending     INTEGER NOT NULL,
    PRIMARY KEY (data_key_id, master_key)
) STRICT;

-- The trail. A rowid table: rows are appended, and the payload is large. `payload` is the event as it is streamed, up
-- to the place where sequence and batch id go (see the engine's `trail::payload`).
CREATE TABLE audit_event (
    account_id    INTEGER NOT NULL,
    sequence      INTEGER NOT NULL,
    -- The first 16 bytes of the SHA-256 of auditEventId.
    id_digest     BLOB    NOT NULL,
    time          INTEGER NOT NULL,
    received      INTEGER NOT NULL,
    principal_type TEXT   NOT NULL,
    principal     TEXT    NOT NULL,
    action        TEXT    NOT NULL,
    module        TEXT    NOT NULL,
    resource_type TEXT    NOT NULL,
    resource      TEXT    NOT NULL,
    org           TEXT,
    project       TEXT,
    payload       TEXT    NOT NULL
) STRICT;
CREATE UNIQUE INDEX audit_event_sequence ON audit_event (account_id, sequence);
CREATE UNIQUE INDEX audit_event_id ON audit_event (account_id, id_digest);
CREATE INDEX audit_event_time ON audit_event (account_id, time, sequence);

CREATE TABLE connector (
    id          INTEGER PRIMARY KEY,
    account_id  INTEGER NOT NULL REFERENCES account (id),
    identifier  TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    description TEXT    NOT NULL,
    tags        TEXT    NOT NULL,
    spec        TEXT    NOT NULL,
    data_key_id INTEGER REFERENCES data_key (id),
    secrets     BLOB,
    created     INTEGER NOT NULL,
    updated     INTEGER NOT NULL,
    UNIQUE (account_id, identifier)
) STRICT;

CREATE TABLE streaming_destination (
    -- Never given twice: batches and object keys of a deleted destination must not meet those of a new one.
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id       INTEGER NOT NULL REFERENCES account (id),
    identifier       TEXT    NOT NULL,
    name             TEXT    NOT NULL,
    description      TEXT    NOT NULL,
    tags             TEXT    NOT NULL,
    status           TEXT    NOT NULL CHECK (status IN ('ACTIVE', 'INACTIVE')),
    connector        TEXT    NOT NULL,
    spec             TEXT    NOT NULL,
    -- 80 random bits in every object key of this life of the destination.
    uid              TEXT    NOT NULL UNIQUE,
    -- Raised by every claim of a run, and by every change that a run in flight must notice.
    epoch            INTEGER NOT NULL DEFAULT 1,
    -- Whose run is under way; of one that stopped without a word it stays, until another takes the run over.
    lease_replica    INTEGER,
    -- The last tick for which a run was claimed.
    last_tick         INTEGER NOT NULL DEFAULT 0,
    -- How many runs were asked for between ticks, and how many of these requests have been served.
    runs_requested       INTEGER NOT NULL DEFAULT 0,
    runs_served         INTEGER NOT NULL DEFAULT 0,
    -- The last sequence confirmed; null until the first activation.
    cursor           INTEGER,
    last_batch       INTEGER NOT NULL DEFAULT 0,
    last_streamed_at INTEGER,
    failure          TEXT,
    -- Whether the account's webhook was told that it stays behind, and not yet that it no longer does.
    lag_notified      INTEGER NOT NULL DEFAULT 0,
    -- Whether the bucket's server honours If-None-Match (1, 0; null: unknown), and when that was found out.
    conditional_writes         INTEGER,
    conditional_writes_checked INTEGER,
    created          INTEGER NOT NULL,
    updated          INTEGER NOT NULL,
    status_updated   INTEGER NOT NULL,
    UNIQUE (account_id, identifier)
) STRICT;

CREATE TABLE streaming_batch (
    destination_id INTEGER NOT NULL REFERENCES streaming_destination (id) ON DELETE CASCADE,
    number         INTEGER NOT NULL,
    account_id     INTEGER NOT NULL,
    status         TEXT    NOT NULL CHECK (status IN ('READY', 'IN_PROGRESS', 'SUCCESS', 'FAILED')),
    first_sequence INTEGER NOT NULL,
    last_sequence  INTEGER NOT NULL,
    events         INTEGER NOT NULL,
    bytes          INTEGER NOT NULL,
    format         TEXT    NOT NULL,
    compression    TEXT    NOT NULL,
    -- Of the content before compression.
    sha256         BLOB    NOT NULL,
    key            TEXT    NOT NULL,
    attempts       INTEGER NOT NULL DEFAULT 0,
    -- Whether the answer of some attempt was lost, so that the object may be there.
    in_doubt       INTEGER NOT NULL DEFAULT 0,
    created        INTEGER NOT NULL,
    finished       INTEGER,
    verified       INTEGER,
    failure        TEXT,
    -- What AWS calls the request of the last attempt; its support asks for it.
    request_id     TEXT,
    -- What was found on the way, though the batch was delivered.
    note           TEXT,
    PRIMARY KEY (destination_id, number)
) STRICT;
-- At most one batch of a destination is on its way.
CREATE UNIQUE INDEX streaming_batch_open ON streaming_batch (destination_id) WHERE status <> 'SUCCESS';

-- Who is told what goes wrong with an account's destinations.
CREATE TABLE webhook (
    account_id        INTEGER PRIMARY KEY REFERENCES account (id),
    data_key_id       INTEGER NOT NULL REFERENCES data_key (id),
    -- Address and secret.
    sealed            BLOB    NOT NULL,
    lag_limit_seconds INTEGER NOT NULL,
    created           INTEGER NOT NULL,
    updated           INTEGER NOT NULL
) STRICT;

-- What it has yet to be told; written in the transaction of what it is about.
CREATE TABLE webhook_message (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id   INTEGER NOT NULL REFERENCES webhook (account_id) ON DELETE CASCADE,
    -- The same at every try.
    message_id   TEXT    NOT NULL,
    body         TEXT    NOT NULL,
    created      INTEGER NOT NULL,
    attempts     INTEGER NOT NULL DEFAULT 0,
    next_attempt INTEGER NOT NULL
) STRICT;

-- The servers on this database. On PostgreSQL each renews its heartbeat by the database's clock.
CREATE TABLE replica (
    id        INTEGER PRIMARY KEY,
    heartbeat INTEGER NOT NULL
) STRICT;

CREATE TABLE console_user (
    id            INTEGER PRIMARY KEY,
    account_id    INTEGER NOT NULL REFERENCES account (id),
    email         TEXT    NOT NULL UNIQUE,
    role          TEXT    NOT NULL CHECK (role IN ('account_admin', 'account_viewer')),
    password_hash TEXT    NOT NULL,
    last_sign_in  INTEGER,
    created       INTEGER NOT NULL
) STRICT;

-- Sessions, API tokens and one-time links are kept as SHA-256 of what the holder has.
CREATE TABLE session (
    digest  BLOB    PRIMARY KEY,
    user_id INTEGER NOT NULL REFERENCES console_user (id) ON DELETE CASCADE,
    created INTEGER NOT NULL,
    seen    INTEGER NOT NULL,
    expires INTEGER NOT NULL
) STRICT;

CREATE TABLE api_token (
    digest     BLOB    PRIMARY KEY,
    account_id INTEGER NOT NULL REFERENCES account (id),
    -- What it is revoked by.
    id         TEXT    NOT NULL UNIQUE,
    name       TEXT    NOT NULL,
    scopes     TEXT    NOT NULL,
    created_by TEXT    NOT NULL,
    created    INTEGER NOT NULL,
    expires    INTEGER,
    last_used  INTEGER,
    UNIQUE (account_id, name)
) STRICT;

-- What sets a password, once: of the first admin (whose address is yet to be said), of somebody invited, of somebody who
-- has forgotten theirs.
CREATE TABLE one_time_link (
    digest     BLOB    PRIMARY KEY,
    account_id INTEGER NOT NULL REFERENCES account (id),
    kind       TEXT    NOT NULL CHECK (kind IN ('SETUP', 'INVITATION', 'PASSWORD')),
    email      TEXT    NOT NULL,
    role       TEXT    NOT NULL CHECK (role IN ('account_admin', 'account_viewer')),
    -- Whose links end with them.
    created_by TEXT    NOT NULL,
    created    INTEGER NOT NULL,
    expires    INTEGER NOT NULL,
    UNIQUE (account_id, email)
) STRICT;

-- Attempts to sign in that have not succeeded: of an address on the network, of an e-mail address, of the two together.
CREATE TABLE sign_in_failure (
    subject  TEXT    PRIMARY KEY,
    failures INTEGER NOT NULL,
    since    INTEGER NOT NULL
) STRICT;

-- Where a person has signed in from: those places are not shut because somebody else guesses elsewhere.
CREATE TABLE known_address (
    user_id INTEGER NOT NULL REFERENCES console_user (id) ON DELETE CASCADE,
    address TEXT    NOT NULL,
    seen    INTEGER NOT NULL,
    PRIMARY KEY (user_id, address)
) STRICT;
