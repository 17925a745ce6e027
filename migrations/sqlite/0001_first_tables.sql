-- The tables of Auditstream. Times are milliseconds since the Unix epoch, UTC. Booleans are 1 and
-- 0. The file of the same name in ../postgres has the same tables, columns and indexes.

CREATE TABLE account (
    id            INTEGER PRIMARY KEY,
    name          TEXT    NOT NULL UNIQUE,
    -- The newest sequence. Updated in the transaction that inserts the events, so that the row's
    -- lock orders commits.
    last_sequence INTEGER NOT NULL DEFAULT 0,
    -- The time of receipt of that event. It does not decrease when a clock is set back, unless it
    -- was ahead of every time that is known to have come.
    last_received INTEGER NOT NULL DEFAULT 0,
    -- The external id that the trust policy of a cross-account role must require. Generated.
    external_id   TEXT    NOT NULL UNIQUE,
    created       INTEGER NOT NULL,
    -- The payload bytes of all its events ever stored.
    trail_bytes          INTEGER NOT NULL DEFAULT 0,
    -- The first event that retention has not removed.
    first_sequence       INTEGER NOT NULL DEFAULT 1,
    -- The last event older than the retention. Those up to it that are left are retained for a
    -- destination, or until an admin confirms their removal.
    expired_sequence     INTEGER NOT NULL DEFAULT 0,
    -- The last event whose time of receipt may be in the future, since a clock was ahead; or 0.
    misdated_sequence    INTEGER NOT NULL DEFAULT 0,
    -- The last event whose removal an admin has to confirm, or 0; and the last confirmed one.
    unconfirmed_sequence INTEGER NOT NULL DEFAULT 0,
    confirmed_sequence   INTEGER NOT NULL DEFAULT 0,
    -- When events last expired, and the time of receipt before which they had expired then.
    swept                INTEGER NOT NULL DEFAULT 0,
    swept_cutoff         INTEGER NOT NULL DEFAULT 0
) STRICT;

-- The installation, and the history of numbers that this database continues. It has one row.
CREATE TABLE installation (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    -- 16 random hexadecimal digits, chosen once.
    identifier TEXT    NOT NULL,
    -- Increased by each declared restore.
    generation INTEGER NOT NULL,
    -- The PostgreSQL server with the database's oid, and its timeline, where the database was last.
    -- Null on SQLite, and where they may not be read.
    server     TEXT,
    timeline   TEXT,
    -- Whether this is a copy from a backup that no server has opened yet.
    copied     INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Sequences that no event has. Each declared restore leaves a gap, because the database cannot know
-- which numbers were given out after the backup.
CREATE TABLE sequence_gap (
    account_id     INTEGER NOT NULL REFERENCES account (id),
    first_sequence INTEGER NOT NULL,
    last_sequence  INTEGER NOT NULL,
    declared       INTEGER NOT NULL,
    reason         TEXT    NOT NULL,
    PRIMARY KEY (account_id, first_sequence)
) STRICT;

-- Keys that encrypt secrets. The newest one encrypts; all decrypt.
CREATE TABLE data_key (
    id      INTEGER PRIMARY KEY,
    created INTEGER NOT NULL
) STRICT;

-- Each data key, encrypted by a master key, or by two while one master key replaces another.
CREATE TABLE data_key_wrap (
    data_key_id INTEGER NOT NULL REFERENCES data_key (id) ON DELETE CASCADE,
    -- Identifies the master key: 8 bytes of a hash.
    master_key  BLOB    NOT NULL,
    wrapped     BLOB    NOT NULL,
    -- Whether this master key will replace the other one.
    pending     INTEGER NOT NULL,
    PRIMARY KEY (data_key_id, master_key)
) STRICT;

-- The trail: the payloads of consecutive events, compressed together. A payload is an event as it
-- is streamed, without the ending that has sequence and batch id (see `stored_form` in the engine).
-- A rowid table, because rows are appended and large.
CREATE TABLE audit_segment (
    account_id     INTEGER NOT NULL,
    first_sequence INTEGER NOT NULL,
    last_sequence  INTEGER NOT NULL,
    -- When its first and its last event were received.
    received       INTEGER NOT NULL,
    last_received  INTEGER NOT NULL,
    -- The payload bytes of the account's earlier events: the size of a range is a difference.
    bytes_before   INTEGER NOT NULL,
    -- The payload bytes of its events.
    bytes          INTEGER NOT NULL,
    -- The times of its events, each as a difference from the one before.
    times          BLOB    NOT NULL,
    -- A zstd frame: the payloads, then their lengths. The last column, so that SQLite does not read
    -- it to find the others.
    content        BLOB    NOT NULL,
    -- By the last sequence, so that the segment with the first event after a cursor is one step.
    PRIMARY KEY (account_id, last_sequence)
) STRICT;

-- The order in which the trail is listed: by `auditEventTime`.
CREATE TABLE audit_event (
    account_id INTEGER NOT NULL,
    time       INTEGER NOT NULL,
    sequence   INTEGER NOT NULL,
    PRIMARY KEY (account_id, time, sequence)
) STRICT, WITHOUT ROWID;

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
    -- Never reused, so that a new destination cannot collide with the batches of a deleted one.
    id                         INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id                 INTEGER NOT NULL REFERENCES account (id),
    identifier                 TEXT    NOT NULL,
    name                       TEXT    NOT NULL,
    description                TEXT    NOT NULL,
    tags                       TEXT    NOT NULL,
    status                     TEXT    NOT NULL CHECK (status IN ('ACTIVE', 'INACTIVE')),
    connector                  TEXT    NOT NULL,
    spec                       TEXT    NOT NULL,
    -- 80 random bits in every object key. Replaced by a skip and by a replay.
    uid                        TEXT    NOT NULL UNIQUE,
    -- Incremented by every claim of a run, and by every change that a run in progress must notice.
    epoch                      INTEGER NOT NULL DEFAULT 1,
    -- The server whose run is in progress. Stays after a crash, until another server claims the
    -- run.
    lease_replica              INTEGER,
    -- The last tick for which a run was claimed.
    last_tick                  INTEGER NOT NULL DEFAULT 0,
    -- The number of runs requested between ticks, and of those served.
    runs_requested             INTEGER NOT NULL DEFAULT 0,
    runs_served                INTEGER NOT NULL DEFAULT 0,
    -- The last confirmed sequence; null until the first activation.
    cursor                     INTEGER,
    last_batch                 INTEGER NOT NULL DEFAULT 0,
    last_streamed_at           INTEGER,
    failure                    TEXT,
    -- Whether the webhook was notified that the destination lags, and not yet that it has caught
    -- up.
    lag_notified               INTEGER NOT NULL DEFAULT 0,
    -- Whether the store honours If-None-Match (null: unknown), and when this was last checked.
    conditional_writes         INTEGER,
    conditional_writes_checked INTEGER,
    created                    INTEGER NOT NULL,
    updated                    INTEGER NOT NULL,
    status_updated             INTEGER NOT NULL,
    -- The position of the newest batch; that of the last one removed with its events; and the one
    -- up to which the details of deliveries have been removed.
    batches_frozen             INTEGER NOT NULL DEFAULT 0,
    batches_removed            INTEGER NOT NULL DEFAULT 0,
    batches_reduced            INTEGER NOT NULL DEFAULT 0,
    -- Seconds between two ticks, as in `spec`; null: the interval of the server.
    interval_seconds           INTEGER,
    UNIQUE (account_id, identifier)
) STRICT;

CREATE TABLE streaming_batch (
    -- No foreign key: the batches of a deleted destination are removed in steps.
    destination_id INTEGER NOT NULL,
    number         INTEGER NOT NULL,
    account_id     INTEGER NOT NULL,
    status         TEXT    NOT NULL CHECK (status IN ('READY', 'IN_PROGRESS', 'SUCCESS', 'FAILED')),
    first_sequence INTEGER NOT NULL,
    last_sequence  INTEGER NOT NULL,
    events         INTEGER NOT NULL,
    bytes          INTEGER NOT NULL,
    format         TEXT    NOT NULL,
    compression    TEXT    NOT NULL,
    -- The hash of the content before compression.
    sha256         BLOB    NOT NULL,
    key            TEXT    NOT NULL,
    attempts       INTEGER NOT NULL DEFAULT 0,
    -- Whether the response to an attempt was lost, so that the object may exist.
    in_doubt       INTEGER NOT NULL DEFAULT 0,
    created        INTEGER NOT NULL,
    finished       INTEGER,
    verified       INTEGER,
    failure        TEXT,
    -- The AWS request id of the last attempt.
    request_id     TEXT,
    -- An observation about a delivered batch, such as a redirect to another region.
    note           TEXT,
    -- Where the last attempt wrote, and the other places at which the object may be, one a line.
    place          TEXT,
    may_be_at      TEXT,
    -- When its first attempt failed.
    failing_since  INTEGER,
    -- 1 for the first batch of the destination. Without gaps, unlike the number.
    position       INTEGER NOT NULL DEFAULT 0,
    -- The level of the compression; null without compression.
    level          INTEGER,
    PRIMARY KEY (destination_id, number)
) STRICT;
-- At most one batch of a destination is open.
CREATE UNIQUE INDEX streaming_batch_open ON streaming_batch (destination_id) WHERE status <> 'SUCCESS';
CREATE UNIQUE INDEX streaming_batch_position ON streaming_batch (destination_id, position);

-- The webhook that is notified of failing, lagging and recovered destinations.
CREATE TABLE webhook (
    account_id        INTEGER PRIMARY KEY REFERENCES account (id),
    data_key_id       INTEGER NOT NULL REFERENCES data_key (id),
    -- The encrypted URL and secret.
    sealed            BLOB    NOT NULL,
    lag_limit_seconds INTEGER NOT NULL,
    created           INTEGER NOT NULL,
    updated           INTEGER NOT NULL
) STRICT;

-- Messages still to be sent; inserted in the transaction that they report.
CREATE TABLE webhook_message (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id   INTEGER NOT NULL REFERENCES webhook (account_id) ON DELETE CASCADE,
    -- The same at every attempt.
    message_id   TEXT    NOT NULL,
    body         TEXT    NOT NULL,
    created      INTEGER NOT NULL,
    attempts     INTEGER NOT NULL DEFAULT 0,
    next_attempt INTEGER NOT NULL
) STRICT;

-- The servers on this database. On PostgreSQL each renews its heartbeat, by the database's clock.
CREATE TABLE replica (
    id        INTEGER PRIMARY KEY,
    heartbeat INTEGER NOT NULL
) STRICT;

CREATE TABLE console_user (
    id            INTEGER PRIMARY KEY,
    account_id    INTEGER NOT NULL REFERENCES account (id),
    email         TEXT    NOT NULL,
    role          TEXT    NOT NULL CHECK (role IN ('account_admin', 'account_viewer')),
    password_hash TEXT    NOT NULL,
    last_sign_in  INTEGER,
    created       INTEGER NOT NULL,
    UNIQUE (account_id, email)
) STRICT;
CREATE INDEX console_user_email ON console_user (email);

-- Sessions, API tokens and one-time links are stored as the SHA-256 of their secret.
CREATE TABLE session (
    digest  BLOB PRIMARY KEY,
    user_id INTEGER NOT NULL REFERENCES console_user (id) ON DELETE CASCADE,
    created INTEGER NOT NULL,
    seen    INTEGER NOT NULL,
    expires INTEGER NOT NULL
) STRICT;

CREATE TABLE api_token (
    digest     BLOB PRIMARY KEY,
    account_id INTEGER NOT NULL REFERENCES account (id),
    -- The id by which the token is listed and revoked.
    id         TEXT    NOT NULL UNIQUE,
    name       TEXT    NOT NULL,
    scopes     TEXT    NOT NULL,
    created_by TEXT    NOT NULL,
    created    INTEGER NOT NULL,
    expires    INTEGER,
    last_used  INTEGER,
    UNIQUE (account_id, name)
) STRICT;

-- One-time links for setting a password: first-run set-up (no address yet), invitations, and
-- password resets.
CREATE TABLE one_time_link (
    digest     BLOB PRIMARY KEY,
    account_id INTEGER NOT NULL REFERENCES account (id),
    kind       TEXT    NOT NULL CHECK (kind IN ('SETUP', 'INVITATION', 'PASSWORD')),
    email      TEXT    NOT NULL,
    role       TEXT    NOT NULL CHECK (role IN ('account_admin', 'account_viewer')),
    -- The admin with whose removal the link ends.
    created_by TEXT    NOT NULL,
    created    INTEGER NOT NULL,
    expires    INTEGER NOT NULL,
    UNIQUE (account_id, email)
) STRICT;

-- Failed sign-ins, by network address, by user, and by both.
CREATE TABLE sign_in_failure (
    subject  TEXT PRIMARY KEY,
    failures INTEGER NOT NULL,
    since    INTEGER NOT NULL
) STRICT;

-- The network addresses from which a user has signed in. Guessing from other addresses does not
-- lock these out.
CREATE TABLE known_address (
    user_id INTEGER NOT NULL REFERENCES console_user (id) ON DELETE CASCADE,
    address TEXT    NOT NULL,
    seen    INTEGER NOT NULL,
    PRIMARY KEY (user_id, address)
) STRICT;

-- The time as the servers know it. One row.
CREATE TABLE clock (
    id      INTEGER PRIMARY KEY CHECK (id = 1),
    -- The latest time that was not in doubt; 0 before the first.
    trusted INTEGER NOT NULL
) STRICT;
INSERT INTO clock (id, trusted) VALUES (1, 0);

-- The retention that an account has set; without a row, the server's default applies.
CREATE TABLE retention_setting (
    account_id    INTEGER PRIMARY KEY REFERENCES account (id),
    -- Null: the server's default.
    days          INTEGER,
    -- Applies until `effective`, if it is longer; null: the server's default.
    previous_days INTEGER,
    -- When `days` applies.
    effective     INTEGER NOT NULL,
    updated       INTEGER NOT NULL
) STRICT;

-- Deleted destinations whose batches are still to be removed.
CREATE TABLE deleted_destination (
    id INTEGER PRIMARY KEY
) STRICT;

-- The day, since 1970 in UTC, on which an audit event last recorded that a person reads the trail.
CREATE TABLE trail_reader (
    account_id INTEGER NOT NULL REFERENCES account (id),
    person     TEXT    NOT NULL,
    day        INTEGER NOT NULL,
    PRIMARY KEY (account_id, person)
) STRICT;

-- The ids of the events, by which duplicates are recognised. A generation has 2^20 sequences: new
-- rows change one generation's part of the index, which stays in memory.
CREATE TABLE event_id (
    account_id     INTEGER NOT NULL,
    sequence       INTEGER NOT NULL,
    -- The sequence divided by 2^20.
    generation     INTEGER NOT NULL,
    -- The first 16 bytes of the SHA-256 of auditEventId.
    digest         BLOB    NOT NULL,
    -- The first 16 bytes of the SHA-256 of the content's canonical form, by which events with one
    -- id are compared.
    content_digest BLOB    NOT NULL,
    PRIMARY KEY (account_id, generation, digest)
) STRICT, WITHOUT ROWID;

-- A filter of the ids of each complete generation (see `id_filters` in the engine), which can be
-- built again from them.
CREATE TABLE event_id_filter (
    account_id INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    -- The first 16 bytes of the SHA-256 of account, generation and filter.
    checksum   BLOB    NOT NULL,
    filter     BLOB    NOT NULL,
    PRIMARY KEY (account_id, generation)
) STRICT;

-- The part of this database in a move by `auditstream migrate`. At most one row. Only a database
-- without a row, or one that is ARRIVED or SETTLED, may be used.
CREATE TABLE relocation (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    -- 16 random hexadecimal digits, the same in both databases.
    identifier TEXT    NOT NULL,
    status     TEXT    NOT NULL
               CHECK (status IN ('LEAVING', 'LEFT', 'ARRIVING', 'ARRIVED', 'SETTLED', 'RETURNED')),
    -- The address of the other database, without a password.
    other      TEXT    NOT NULL,
    -- The PostgreSQL server and the timeline of the source; see `installation`.
    server     TEXT,
    timeline   TEXT,
    begun      INTEGER NOT NULL,
    ended      INTEGER
) STRICT;

-- The tables that were or are being copied to this database.
CREATE TABLE relocation_table (
    name         TEXT PRIMARY KEY,
    -- The key of the last copied row, as JSON; null before the first.
    position     TEXT,
    copied_rows  INTEGER NOT NULL DEFAULT 0,
    copied_bytes INTEGER NOT NULL DEFAULT 0,
    is_complete  INTEGER NOT NULL DEFAULT 0,
    -- Of all values, equal in both databases; null until they are compared.
    sha256       BLOB
) STRICT;

-- How far the segments of an account have been merged.
CREATE TABLE segment_merge (
    account_id    INTEGER PRIMARY KEY REFERENCES account (id),
    -- The last sequence of those received within a minute, and of those older than a day.
    merged        INTEGER NOT NULL,
    merged_older  INTEGER NOT NULL,
    -- Until when one server merges alone.
    claimed_until INTEGER NOT NULL
) STRICT;

-- The search index: the work on the index of an account. Its row orders the changes of the index.
CREATE TABLE search_index (
    account_id INTEGER PRIMARY KEY REFERENCES account (id),
    -- The task that works on it, and when it last did, by the database's clock.
    owner      INTEGER NOT NULL,
    renewed    INTEGER NOT NULL,
    last_slice INTEGER NOT NULL,
    -- Raised when a slice was taken out of use, so that the task looks at the account.
    requests   INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Slices of the search index: ranges of sequences. Those in use do not overlap.
CREATE TABLE search_slice (
    account_id     INTEGER NOT NULL,
    slice          INTEGER NOT NULL,
    -- 0: being built; 1: in use; 2: replaced, and in use by earlier searches; 3: being deleted.
    state          INTEGER NOT NULL,
    first_sequence INTEGER NOT NULL,
    last_sequence  INTEGER NOT NULL,
    events         INTEGER NOT NULL,
    -- The first and the last auditEventTime.
    min_time       INTEGER NOT NULL,
    max_time       INTEGER NOT NULL,
    -- When it was replaced.
    retired        INTEGER NOT NULL,
    -- The first place of each row of its order.
    marks          BLOB    NOT NULL,
    PRIMARY KEY (account_id, slice)
) STRICT;

-- The events of a slice in the order of time. The number of an event in that order is its rank.
CREATE TABLE search_order (
    account_id INTEGER NOT NULL,
    slice      INTEGER NOT NULL,
    first_rank INTEGER NOT NULL,
    content    BLOB    NOT NULL,
    PRIMARY KEY (account_id, slice, first_rank)
) STRICT;

-- The terms of a slice, sorted, each with the ranks of its events, in compressed blocks.
CREATE TABLE search_block (
    account_id INTEGER NOT NULL,
    slice      INTEGER NOT NULL,
    -- The first term, U+0000, and its first rank in this block.
    first_key  BLOB    NOT NULL,
    content    BLOB    NOT NULL,
    PRIMARY KEY (account_id, slice, first_key)
) STRICT;
