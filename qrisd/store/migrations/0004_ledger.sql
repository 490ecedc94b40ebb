-- The ledger. One row is one transfer: it takes an amount from one account and gives it to another, so that nothing in
-- here can be out of balance. Rows are only ever added. `happened_at` is when the money moved, `created_at` when we knew.
CREATE TABLE ledger_entries (
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
                                AND (credit_account GLOB 'receivable:*' OR credit_account = 'cash')
        WHEN 'refunded_there' THEN debit_account IN ('refunds', 'unapplied') AND credit_account GLOB 'receivable:*'
        WHEN 'fee' THEN debit_account = 'fees' AND credit_account GLOB 'receivable:*'
        WHEN 'fee_back' THEN debit_account GLOB 'receivable:*' AND credit_account = 'fees'
        WHEN 'settled' THEN debit_account = 'bank' AND credit_account GLOB 'receivable:*'
        WHEN 'settled_back' THEN debit_account GLOB 'receivable:*' AND credit_account = 'bank'
        WHEN 'adjusted' THEN reason IS NOT NULL
        ELSE FALSE END)
) STRICT;
CREATE INDEX ledger_entries_by_payment ON ledger_entries (payment_id) WHERE payment_id IS NOT NULL;
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

-- What arrived before there was a ledger: the first attempt that received its whole amount is the sale, all else of a
-- paid payment came on top of it.
INSERT INTO ledger_entries (kind, debit_account, credit_account, amount, payment_id, happened_at, created_at)
SELECT 'paid', 'receivable:' || a.provider, 'sales', a.amount, p.id, p.paid_at, p.updated_at
FROM payments p JOIN attempts a ON a.payment_id = p.id
WHERE a.number = (SELECT min(b.number) FROM attempts b WHERE b.payment_id = p.id AND b.amount_paid >= b.amount)
ORDER BY p.paid_at, p.id;

INSERT INTO ledger_entries (kind, debit_account, credit_account, amount, payment_id, happened_at, created_at)
SELECT 'overpaid', 'receivable:' || a.provider, 'overpaid', a.amount_paid - iif(a.number = w.number, a.amount, 0),
       a.payment_id, a.updated_at, a.updated_at
FROM attempts a
JOIN (SELECT payment_id, min(number) AS number FROM attempts WHERE amount_paid >= amount GROUP BY payment_id) w
  ON w.payment_id = a.payment_id
WHERE a.amount_paid > iif(a.number = w.number, a.amount, 0) ORDER BY a.updated_at, a.id;

INSERT INTO ledger_entries (kind, debit_account, credit_account, amount, payment_id, happened_at, created_at)
SELECT 'underpaid', 'receivable:' || provider, 'unapplied', amount_paid, payment_id, updated_at, updated_at
FROM attempts a
WHERE amount_paid > 0
  AND NOT EXISTS (SELECT 1 FROM attempts b WHERE b.payment_id = a.payment_id AND b.amount_paid >= b.amount)
ORDER BY updated_at, id;

INSERT INTO ledger_entries (kind, debit_account, credit_account, amount, payment_id, happened_at, created_at)
SELECT 'refunded_there', 'refunds', 'receivable:' || provider, amount_refunded, payment_id, updated_at, updated_at
FROM attempts WHERE amount_refunded > 0 ORDER BY updated_at, id;
