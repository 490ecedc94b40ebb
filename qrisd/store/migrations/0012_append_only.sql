-- A refund by bank transfer comes out of `bank`, so the ledger is rebuilt with another check; what stands in it stays as
-- it is, also what a hand has put there past the checks: that is for `qrisd verify` to name.
PRAGMA ignore_check_constraints = ON;
CREATE TABLE ledger_entries_new (
    id             INTEGER PRIMARY KEY,
    kind           TEXT NOT NULL,
    debit_account  TEXT NOT NULL CHECK (debit_account != ''),
    credit_account TEXT NOT NULL CHECK (credit_account != ''),
    amount         INTEGER NOT NULL CHECK (amount > 0),
    payment_id     TEXT REFERENCES payments (id),
    refund_id      TEXT,
    settlement_id  INTEGER,
    reason         TEXT,
    happened_at    TEXT NOT NULL,
    created_at     TEXT NOT NULL,
    CHECK (debit_account != credit_account),
    CHECK (CASE kind
        WHEN 'paid' THEN debit_account GLOB 'receivable:*' AND credit_account = 'sales'
        WHEN 'underpaid' THEN debit_account GLOB 'receivable:*' AND credit_account = 'unapplied'
        WHEN 'applied' THEN debit_account = 'unapplied' AND credit_account = 'sales'
        WHEN 'overpaid' THEN (debit_account GLOB 'receivable:*' OR debit_account = 'unapplied')
                             AND credit_account = 'overpaid'
        WHEN 'refund_reserved' THEN debit_account = 'refunds' AND credit_account = 'refunds_reserved'
        WHEN 'refund_released' THEN debit_account = 'refunds_reserved' AND credit_account = 'refunds'
        WHEN 'refund_done' THEN debit_account = 'refunds_reserved'
                                AND (credit_account GLOB 'receivable:*' OR credit_account IN ('bank', 'cash'))
        WHEN 'refunded_there' THEN debit_account IN ('refunds', 'unapplied') AND credit_account GLOB 'receivable:*'
        WHEN 'fee' THEN debit_account = 'fees' AND credit_account GLOB 'receivable:*'
        WHEN 'fee_back' THEN debit_account GLOB 'receivable:*' AND credit_account = 'fees'
        WHEN 'settled' THEN debit_account = 'bank' AND credit_account GLOB 'receivable:*'
        WHEN 'settled_back' THEN debit_account GLOB 'receivable:*' AND credit_account = 'bank'
        WHEN 'adjusted' THEN reason IS NOT NULL
        ELSE FALSE END)
) STRICT;
INSERT INTO ledger_entries_new (id, kind, debit_account, credit_account, amount, payment_id, refund_id, settlement_id,
                                reason, happened_at, created_at)
SELECT id, kind, debit_account, credit_account, amount, payment_id, refund_id, settlement_id, reason, happened_at,
       created_at
FROM ledger_entries ORDER BY id;
DROP TABLE ledger_entries;
ALTER TABLE ledger_entries_new RENAME TO ledger_entries;
PRAGMA ignore_check_constraints = OFF;
CREATE INDEX ledger_entries_by_payment ON ledger_entries (payment_id) WHERE payment_id IS NOT NULL;
CREATE INDEX ledger_entries_by_time ON ledger_entries (happened_at, id);
CREATE UNIQUE INDEX ledger_entries_paid_once ON ledger_entries (payment_id) WHERE kind = 'paid';
CREATE UNIQUE INDEX ledger_entries_refund_once ON ledger_entries (refund_id, kind) WHERE refund_id IS NOT NULL;
CREATE UNIQUE INDEX ledger_entries_settled_once ON ledger_entries (settlement_id, kind) WHERE settlement_id IS NOT NULL;
CREATE TRIGGER ledger_entries_are_not_changed BEFORE UPDATE ON ledger_entries
BEGIN
    SELECT RAISE(ABORT, 'ledger_entries is append-only');
END;
CREATE TRIGGER ledger_entries_are_not_deleted BEFORE DELETE ON ledger_entries
BEGIN
    SELECT RAISE(ABORT, 'ledger_entries is append-only');
END;

-- REPLACE deletes the row it collides with, and no trigger hears of that: it is refused before.
CREATE TRIGGER ledger_entries_are_not_replaced BEFORE INSERT ON ledger_entries
WHEN EXISTS (SELECT 1 FROM ledger_entries WHERE id = NEW.id)
    OR (NEW.kind = 'paid'
        AND EXISTS (SELECT 1 FROM ledger_entries WHERE payment_id = NEW.payment_id AND kind = 'paid'))
    OR EXISTS (SELECT 1 FROM ledger_entries WHERE refund_id = NEW.refund_id AND kind = NEW.kind)
    OR EXISTS (SELECT 1 FROM ledger_entries WHERE settlement_id = NEW.settlement_id AND kind = NEW.kind)
BEGIN
    SELECT RAISE(ABORT, 'ledger_entries is append-only');
END;
CREATE TRIGGER refund_decisions_are_not_replaced BEFORE INSERT ON refund_decisions
WHEN EXISTS (SELECT 1 FROM refund_decisions WHERE id = NEW.id)
BEGIN
    SELECT RAISE(ABORT, 'refund_decisions is append-only');
END;
CREATE TRIGGER audit_log_is_not_replaced BEFORE INSERT ON audit_log
WHEN EXISTS (SELECT 1 FROM audit_log WHERE id = NEW.id)
BEGIN
    SELECT RAISE(ABORT, 'audit_log is append-only');
END;
CREATE TRIGGER audit_head_is_not_replaced BEFORE INSERT ON audit_head WHEN EXISTS (SELECT 1 FROM audit_head)
BEGIN
    SELECT RAISE(ABORT, 'audit_head stays');
END;

-- What happened to a payment, and what was told of it, is kept in the same way.
CREATE TRIGGER payment_logs_are_not_changed BEFORE UPDATE ON payment_logs
BEGIN
    SELECT RAISE(ABORT, 'payment_logs is append-only');
END;
CREATE TRIGGER payment_logs_are_not_deleted BEFORE DELETE ON payment_logs
BEGIN
    SELECT RAISE(ABORT, 'payment_logs is append-only');
END;
CREATE TRIGGER payment_logs_are_not_replaced BEFORE INSERT ON payment_logs
WHEN EXISTS (SELECT 1 FROM payment_logs WHERE id = NEW.id)
BEGIN
    SELECT RAISE(ABORT, 'payment_logs is append-only');
END;
CREATE TRIGGER events_are_not_changed BEFORE UPDATE ON events
BEGIN
    SELECT RAISE(ABORT, 'events is append-only');
END;
CREATE TRIGGER events_are_not_deleted BEFORE DELETE ON events
BEGIN
    SELECT RAISE(ABORT, 'events is append-only');
END;
CREATE TRIGGER events_are_not_replaced BEFORE INSERT ON events
WHEN EXISTS (SELECT 1 FROM events WHERE id = NEW.id)
    OR EXISTS (SELECT 1 FROM events WHERE payment_id = NEW.payment_id AND sequence = NEW.sequence)
BEGIN
    SELECT RAISE(ABORT, 'events is append-only');
END;
