-- Settlement reports. `settlement_files` is what was imported; its counts and sums are of the lines it brought or
-- changed, `repeated` are those that said what was known, `skipped` the rows that are about no money.
CREATE TABLE settlement_files (
    id          TEXT PRIMARY KEY,
    provider    TEXT NOT NULL,
    name        TEXT NOT NULL,
    sha256      TEXT NOT NULL UNIQUE,
    layout      TEXT NOT NULL,
    lines       INTEGER NOT NULL CHECK (lines >= 0),
    repeated    INTEGER NOT NULL CHECK (repeated >= 0),
    skipped     INTEGER NOT NULL CHECK (skipped >= 0),
    amount      INTEGER NOT NULL,
    fee         INTEGER NOT NULL,
    net_amount  INTEGER NOT NULL,
    imported_at TEXT NOT NULL,
    imported_by TEXT NOT NULL
) STRICT;

-- One line of a report: provider, kind and line_id tell it from every other, in whatever file it comes. Until it is
-- settled a later file may change it; from then on it stays as it is. settlement_date is a business day.
DROP TABLE settlements;
CREATE TABLE settlements (
    id              INTEGER PRIMARY KEY,
    provider        TEXT NOT NULL,
    kind            TEXT NOT NULL CHECK (kind IN ('payment', 'refund', 'fee', 'adjustment')),
    line_id         TEXT NOT NULL,
    provider_trx_id TEXT,
    payment_id      TEXT REFERENCES payments (id),
    attempt_id      TEXT REFERENCES attempts (id),
    reference       TEXT,
    order_id        TEXT,
    provider_ref_no TEXT,
    amount          INTEGER NOT NULL,
    fee             INTEGER NOT NULL,
    vat             INTEGER NOT NULL,
    net_amount      INTEGER NOT NULL CHECK (net_amount = amount - fee),
    currency        TEXT NOT NULL,
    settlement_date TEXT NOT NULL,
    is_settled      INTEGER NOT NULL CHECK (is_settled IN (0, 1)),
    transacted_at   TEXT,
    batch           TEXT,
    status          TEXT,
    file_id         TEXT NOT NULL REFERENCES settlement_files (id),
    row_number      INTEGER NOT NULL,
    raw             TEXT NOT NULL,
    reconciled      INTEGER NOT NULL DEFAULT 0 CHECK (reconciled IN (0, 1)),
    created_at      TEXT NOT NULL,
    updated_at      TEXT NOT NULL,
    UNIQUE (provider, kind, line_id)
) STRICT;
CREATE INDEX settlements_by_day ON settlements (settlement_date, provider);
CREATE INDEX settlements_by_payment ON settlements (payment_id) WHERE payment_id IS NOT NULL;
CREATE INDEX settlements_unmatched ON settlements (provider, id) WHERE payment_id IS NULL;

-- What a line said before another file changed it.
CREATE TABLE settlement_changes (
    id              INTEGER PRIMARY KEY,
    settlement_id   INTEGER NOT NULL REFERENCES settlements (id),
    file_id         TEXT NOT NULL REFERENCES settlement_files (id),
    row_number      INTEGER NOT NULL,
    amount          INTEGER NOT NULL,
    fee             INTEGER NOT NULL,
    net_amount      INTEGER NOT NULL,
    settlement_date TEXT NOT NULL,
    status          TEXT,
    changed_at      TEXT NOT NULL
) STRICT;
CREATE INDEX settlement_changes_by_line ON settlement_changes (settlement_id);

-- Reports name payments by the bank's reference, too.
CREATE INDEX attempts_by_ref_no ON attempts (provider_ref_no) WHERE provider_ref_no IS NOT NULL;
