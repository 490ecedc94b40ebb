-- People. `username` is lower case; `outlets` is a JSON list, NULL where a person is not limited to any. A cashier may
-- have a PIN in the place of a password. `totp_secret` and `totp_pending` are sealed; `totp_step` is the newest step
-- whose code was used.
CREATE TABLE users (
    id            TEXT PRIMARY KEY,
    username      TEXT NOT NULL UNIQUE,
    name          TEXT NOT NULL,
    role          TEXT NOT NULL CHECK (role IN ('owner', 'finance', 'supervisor', 'cashier', 'marketing', 'technician',
                                                'auditor')),
    outlets       TEXT,
    password_hash TEXT,
    pin_hash      TEXT,
    totp_secret   TEXT,
    totp_pending  TEXT,
    totp_step     INTEGER,
    created_at    TEXT NOT NULL,
    disabled_at   TEXT
) STRICT;

-- One signed-in browser; only the SHA-256 of its token is stored. `awaits_code`: the password was right, the second
-- factor is still owed, and until then the row is good for nothing else. Ended ones are kept for a while: they tell
-- from where a person has signed in before.
CREATE TABLE sessions (
    id            TEXT PRIMARY KEY,
    token_hash    TEXT NOT NULL UNIQUE,
    user_id       TEXT NOT NULL REFERENCES users (id),
    awaits_code   INTEGER NOT NULL CHECK (awaits_code IN (0, 1)),
    source        TEXT NOT NULL,
    browser       TEXT NOT NULL,
    created_at    TEXT NOT NULL,
    last_seen_at  TEXT NOT NULL,
    stepped_up_at TEXT NOT NULL,
    ended_at      TEXT
) STRICT;
CREATE INDEX sessions_by_user ON sessions (user_id, source);

-- A link that sets a password, once. `owner` makes the first owner and has no user yet.
CREATE TABLE one_time_links (
    token_hash TEXT PRIMARY KEY,
    purpose    TEXT NOT NULL CHECK (purpose IN ('owner', 'setup', 'reset')),
    user_id    TEXT REFERENCES users (id) CHECK ((user_id IS NULL) = (purpose = 'owner')),
    created_at TEXT NOT NULL,
    expires_at TEXT,
    used_at    TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX one_time_links_by_user ON one_time_links (user_id);

CREATE TABLE recovery_codes (
    user_id   TEXT NOT NULL REFERENCES users (id),
    code_hash TEXT NOT NULL,
    used_at   TEXT,
    PRIMARY KEY (user_id, code_hash)
) STRICT, WITHOUT ROWID;

-- Failed tries of an account, of a source, of somebody's second factor. `who` says which, hashed: a password typed into
-- the wrong field must not lie here.
CREATE TABLE sign_in_failures (
    who           TEXT PRIMARY KEY,
    failures      INTEGER NOT NULL CHECK (failures >= 0),
    blocked_until TEXT NOT NULL,
    last_at       TEXT NOT NULL
) STRICT, WITHOUT ROWID;

ALTER TABLE api_keys ADD COLUMN outlets TEXT;
ALTER TABLE api_keys ADD COLUMN user_id TEXT REFERENCES users (id);
CREATE INDEX api_keys_by_user ON api_keys (user_id) WHERE user_id IS NOT NULL;

-- Who did what, when, to what, what it was and became, and why. Nothing in here is ever changed or taken out.
CREATE TABLE audit_log (
    id         INTEGER PRIMARY KEY,
    at         TEXT NOT NULL,
    who        TEXT NOT NULL,
    action     TEXT NOT NULL,
    what       TEXT,
    before     TEXT,
    after      TEXT,
    why        TEXT,
    source     TEXT
) STRICT;
CREATE TRIGGER audit_log_is_not_changed BEFORE UPDATE ON audit_log
BEGIN
    SELECT RAISE(ABORT, 'audit_log is append-only');
END;
CREATE TRIGGER audit_log_is_not_shortened BEFORE DELETE ON audit_log
BEGIN
    SELECT RAISE(ABORT, 'audit_log is append-only');
END;
