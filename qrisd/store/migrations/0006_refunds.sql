-- Money given back. A refund is asked for, decided by people or by policy, then sent; its content is never changed, and
-- content_hash is what an approval is bound to. `elsewhere` is money that a provider gave back without us.
CREATE TABLE refunds (
    number             INTEGER PRIMARY KEY,
    id                 TEXT NOT NULL UNIQUE,
    payment_id         TEXT NOT NULL REFERENCES payments (id),
    attempt_id         TEXT REFERENCES attempts (id),
    reference          TEXT UNIQUE,
    amount             INTEGER NOT NULL CHECK (amount > 0),
    method             TEXT NOT NULL CHECK (method IN ('provider', 'cash', 'transfer', 'elsewhere')),
    status             TEXT NOT NULL CHECK (status IN ('REQUESTED', 'APPROVED', 'UNKNOWN', 'PENDING', 'DONE', 'FAILED',
                                                       'REJECTED', 'EXPIRED', 'CANCELLED')),
    reason             TEXT NOT NULL,
    evidence           TEXT,
    requested_by       TEXT NOT NULL,
    content_hash       TEXT NOT NULL,
    refunded_before    INTEGER NOT NULL DEFAULT 0,
    provider_refund_id TEXT,
    provider_ref_no    TEXT,
    detail             TEXT,
    tries              INTEGER NOT NULL DEFAULT 0,
    absences           INTEGER NOT NULL DEFAULT 0,
    next_try_at        TEXT,
    expires_at         TEXT,
    sent_at            TEXT,
    done_at            TEXT,
    created_at         TEXT NOT NULL,
    updated_at         TEXT NOT NULL,
    CHECK (method != 'provider' OR (attempt_id IS NOT NULL AND reference IS NOT NULL)),
    CHECK (method NOT IN ('cash', 'transfer') OR evidence IS NOT NULL),
    CHECK (method != 'elsewhere' OR (attempt_id IS NOT NULL AND status = 'DONE')),
    CHECK ((status = 'DONE') = (done_at IS NOT NULL))
) STRICT;
CREATE INDEX refunds_by_payment ON refunds (payment_id);
CREATE INDEX refunds_due ON refunds (next_try_at) WHERE next_try_at IS NOT NULL;
CREATE INDEX refunds_waiting ON refunds (expires_at) WHERE status = 'REQUESTED';
-- One outcome of an attempt may be unknown at a time: two could not be told apart by the sum given back.
CREATE UNIQUE INDEX refunds_one_unknown ON refunds (attempt_id) WHERE status = 'UNKNOWN';
-- What is asked for fits into what came and is neither given back nor promised yet.
CREATE TRIGGER refunds_fit BEFORE INSERT ON refunds
WHEN NEW.method != 'elsewhere' AND NEW.amount > (
    SELECT p.amount_paid - p.amount_refunded - (
        SELECT coalesce(sum(r.amount), 0) FROM refunds r
        WHERE r.payment_id = p.id AND r.status IN ('REQUESTED', 'APPROVED', 'UNKNOWN', 'PENDING'))
    FROM payments p WHERE p.id = NEW.payment_id)
BEGIN
    SELECT RAISE(ABORT, 'refunds exceed what was paid');
END;
-- An end is an end.
CREATE TRIGGER refunds_end_once BEFORE UPDATE OF status ON refunds
WHEN OLD.status NOT IN ('REQUESTED', 'APPROVED', 'UNKNOWN', 'PENDING') AND NEW.status != OLD.status
BEGIN
    SELECT RAISE(ABORT, 'the refund has ended');
END;

-- Who decided what about a refund: `decided_by` is a user's id, or the word for what is no person.
CREATE TABLE refund_decisions (
    id           INTEGER PRIMARY KEY,
    refund_id    TEXT NOT NULL REFERENCES refunds (id),
    decision     TEXT NOT NULL CHECK (decision IN ('approved', 'rejected', 'cancelled', 'expired', 'voided', 'proposed',
                                                   'resolved')),
    outcome      TEXT CHECK (outcome IN ('DONE', 'FAILED')),
    decided_by   TEXT NOT NULL,
    content_hash TEXT NOT NULL,
    why          TEXT,
    decided_at   TEXT NOT NULL,
    CHECK ((decision IN ('proposed', 'resolved')) = (outcome IS NOT NULL))
) STRICT;
CREATE INDEX refund_decisions_by_refund ON refund_decisions (refund_id, id);
CREATE TRIGGER refund_decisions_are_not_changed BEFORE UPDATE ON refund_decisions
BEGIN
    SELECT RAISE(ABORT, 'refund_decisions is append-only');
END;
CREATE TRIGGER refund_decisions_are_not_deleted BEFORE DELETE ON refund_decisions
BEGIN
    SELECT RAISE(ABORT, 'refund_decisions is append-only');
END;

-- What providers gave back before refunds had rows of their own.
INSERT INTO refunds (id, payment_id, attempt_id, amount, method, status, reason, requested_by, content_hash,
                     done_at, created_at, updated_at)
SELECT lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-8'
             || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6))),
       payment_id, id, amount_refunded, 'elsewhere', 'DONE', 'given back at the provider', 'provider:' || provider, '',
       updated_at, updated_at, updated_at
FROM attempts WHERE amount_refunded > 0 ORDER BY updated_at, id;
