-- Amounts are whole rupiah. Times are RFC 3339 UTC text with milliseconds, so that they sort as text.

CREATE TABLE payments (
    id                TEXT PRIMARY KEY,
    order_id          TEXT NOT NULL UNIQUE,
    amount            INTEGER NOT NULL CHECK (amount > 0),
    amount_due        INTEGER NOT NULL CHECK (amount_due >= amount),
    currency          TEXT NOT NULL,
    status            TEXT NOT NULL CHECK (status IN ('CREATED', 'PENDING', 'PAID', 'EXPIRED', 'FAILED', 'CANCELLED',
                                                      'PARTIALLY_REFUNDED', 'REFUNDED')),
    exception         TEXT CHECK (exception IN ('late', 'after_cancel', 'underpaid', 'overpaid', 'duplicate')),
    amount_paid       INTEGER NOT NULL CHECK (amount_paid >= 0),
    amount_refunded   INTEGER NOT NULL CHECK (amount_refunded BETWEEN 0 AND amount_paid),
    provider          TEXT NOT NULL,
    provider_trx_id   TEXT,
    provider_ref_no   TEXT,
    qris_payload      TEXT,
    expires_in        INTEGER NOT NULL,
    expires_at        TEXT NOT NULL,
    paid_at           TEXT,
    attempt           INTEGER NOT NULL,
    outlet            TEXT NOT NULL,
    description       TEXT,
    customer          TEXT,
    callback_url      TEXT,
    metadata          TEXT NOT NULL,
    signature_version INTEGER NOT NULL,
    sequence          INTEGER NOT NULL,
    version           INTEGER NOT NULL,
    request_hash      TEXT NOT NULL,
    created_at        TEXT NOT NULL,
    updated_at        TEXT NOT NULL
) STRICT;
CREATE INDEX payments_by_time ON payments (created_at, id);
CREATE INDEX payments_by_trx_id ON payments (provider_trx_id) WHERE provider_trx_id IS NOT NULL;

-- One QR at one provider, stored before anything is sent. next_check_at is when somebody must look at it again.
CREATE TABLE attempts (
    id              TEXT PRIMARY KEY,
    payment_id      TEXT NOT NULL REFERENCES payments (id),
    number          INTEGER NOT NULL,
    provider        TEXT NOT NULL,
    reference       TEXT NOT NULL UNIQUE,
    amount          INTEGER NOT NULL CHECK (amount > 0),
    status          TEXT NOT NULL CHECK (status IN ('CREATED', 'PENDING', 'PAID', 'EXPIRED', 'FAILED', 'CANCELLED')),
    provider_trx_id TEXT,
    provider_ref_no TEXT,
    qris_payload    TEXT,
    amount_paid     INTEGER NOT NULL CHECK (amount_paid >= 0),
    amount_refunded INTEGER NOT NULL CHECK (amount_refunded BETWEEN 0 AND amount_paid),
    error           TEXT,
    expires_at      TEXT NOT NULL,
    checks          INTEGER NOT NULL,
    next_check_at   TEXT,
    version         INTEGER NOT NULL,
    created_at      TEXT NOT NULL,
    updated_at      TEXT NOT NULL,
    UNIQUE (payment_id, number)
) STRICT;
CREATE INDEX attempts_by_trx_id ON attempts (provider_trx_id) WHERE provider_trx_id IS NOT NULL;
CREATE INDEX attempts_due ON attempts (provider, next_check_at) WHERE next_check_at IS NOT NULL;

CREATE TABLE payment_logs (
    id         INTEGER PRIMARY KEY,
    payment_id TEXT NOT NULL REFERENCES payments (id),
    event      TEXT NOT NULL,
    payload    TEXT NOT NULL,
    created_at TEXT NOT NULL
) STRICT;
CREATE INDEX payment_logs_by_payment ON payment_logs (payment_id, id);

-- What the outside is told, with its final body, written in the transaction of the change it tells of.
CREATE TABLE events (
    id         INTEGER PRIMARY KEY,
    payment_id TEXT NOT NULL REFERENCES payments (id),
    sequence   INTEGER NOT NULL,
    type       TEXT NOT NULL,
    body       TEXT NOT NULL,
    created_at TEXT NOT NULL,
    UNIQUE (payment_id, sequence)
) STRICT;

CREATE TABLE webhook_events (
    id            TEXT PRIMARY KEY,
    provider      TEXT NOT NULL,
    event_id      TEXT NOT NULL,
    attempt_id    TEXT REFERENCES attempts (id),
    payload       TEXT NOT NULL,
    received_at   TEXT NOT NULL,
    processed_at  TEXT,
    status        TEXT NOT NULL CHECK (status IN ('OK', 'ERROR', 'PENDING')),
    error_message TEXT,
    UNIQUE (provider, event_id)
) STRICT;
CREATE INDEX webhook_events_waiting ON webhook_events (attempt_id) WHERE status = 'PENDING';

CREATE TABLE settlements (
    id              INTEGER PRIMARY KEY,
    provider_trx_id TEXT NOT NULL,
    payment_id      TEXT REFERENCES payments (id),
    amount          INTEGER NOT NULL,
    fee             INTEGER NOT NULL,
    net_amount      INTEGER NOT NULL,
    settlement_date TEXT NOT NULL,
    file_id         TEXT NOT NULL,
    reconciled      INTEGER NOT NULL CHECK (reconciled IN (0, 1)),
    created_at      TEXT NOT NULL
) STRICT;

-- A key keeps its id when its secret is rotated; only the SHA-256 of the secret is stored.
CREATE TABLE api_keys (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL,
    secret_hash TEXT NOT NULL UNIQUE,
    hint        TEXT NOT NULL,
    scopes      TEXT NOT NULL,
    created_at  TEXT NOT NULL,
    rotated_at  TEXT,
    revoked_at  TEXT
) STRICT;

-- status_code and body stay NULL until the request has an answer worth repeating.
CREATE TABLE idempotency_keys (
    api_key_id   TEXT NOT NULL REFERENCES api_keys (id),
    key          TEXT NOT NULL,
    request_hash TEXT NOT NULL,
    payment_id   TEXT NOT NULL REFERENCES payments (id),
    status_code  INTEGER,
    body         TEXT,
    created_at   TEXT NOT NULL,
    PRIMARY KEY (api_key_id, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

-- One row: proof that the database takes writes.
CREATE TABLE heartbeat (
    id      INTEGER PRIMARY KEY CHECK (id = 1),
    beat_at TEXT NOT NULL
) STRICT;
