-- One run over a business day: of every provider, or of one. `summary` is what it added up to (json), once it is done.
CREATE TABLE reconciliations (
    id          INTEGER PRIMARY KEY,
    day         TEXT NOT NULL,
    provider    TEXT,
    origin      TEXT NOT NULL CHECK (origin IN ('nightly', 'person')),
    status      TEXT NOT NULL CHECK (status IN ('RUNNING', 'DONE')),
    asked       INTEGER NOT NULL DEFAULT 0,
    unasked     INTEGER NOT NULL DEFAULT 0,
    summary     TEXT,
    began_at    TEXT NOT NULL,
    finished_at TEXT,
    CHECK ((status = 'DONE') = (summary IS NOT NULL AND finished_at IS NOT NULL))
) STRICT;
CREATE INDEX reconciliations_by_day ON reconciliations (day, id);

-- What a provider said of an attempt when it was last asked by a run; `version` is the attempt's before that. A run that
-- was cut off goes on with those that it has not asked about.
CREATE TABLE reconciliation_looks (
    attempt_id      TEXT PRIMARY KEY REFERENCES attempts (id),
    run_id          INTEGER NOT NULL REFERENCES reconciliations (id),
    version         INTEGER NOT NULL,
    status          TEXT,
    absent          INTEGER NOT NULL CHECK (absent IN (0, 1)),
    amount          INTEGER,
    amount_refunded INTEGER,
    problem         TEXT
) STRICT, WITHOUT ROWID;

-- One difference. Its id is made of what it is about, so that another run finds it again. HEALED: the payment was
-- advanced; GONE: it no longer holds.
CREATE TABLE reconciliation_exceptions (
    id              TEXT PRIMARY KEY,
    day             TEXT NOT NULL,
    provider        TEXT NOT NULL,
    class           TEXT NOT NULL CHECK (class IN ('missing_here', 'missing_there', 'amount', 'fee', 'status',
                                                   'duplicate', 'late', 'refunded_there', 'unsettled', 'orphan')),
    reason          TEXT NOT NULL,
    subject         TEXT NOT NULL,
    payment_id      TEXT REFERENCES payments (id),
    order_id        TEXT,
    provider_trx_id TEXT,
    amount_here     INTEGER,
    amount_there    INTEGER,
    detail          TEXT,
    status          TEXT NOT NULL CHECK (status IN ('OPEN', 'RESOLVED', 'HEALED', 'GONE')),
    note            TEXT,
    owner           TEXT,
    created_at      TEXT NOT NULL,
    updated_at      TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX reconciliation_exceptions_by_day ON reconciliation_exceptions (day, status);
CREATE INDEX reconciliation_exceptions_open ON reconciliation_exceptions (status) WHERE status = 'OPEN';

-- What a person saw arrive at the bank of one day's payout.
CREATE TABLE payouts (
    provider    TEXT NOT NULL,
    day         TEXT NOT NULL,
    amount      INTEGER NOT NULL,
    entered_by  TEXT NOT NULL,
    entered_at  TEXT NOT NULL,
    PRIMARY KEY (provider, day)
) STRICT, WITHOUT ROWID;
