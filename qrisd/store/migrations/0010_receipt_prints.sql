-- Every print of a receipt, stored before it is made. Number 1 is the original, all others are marked as copies.
CREATE TABLE receipt_prints (
    payment_id TEXT NOT NULL REFERENCES payments (id),
    number     INTEGER NOT NULL CHECK (number > 0),
    how        TEXT NOT NULL CHECK (how IN ('browser', 'printer')),
    user_id    TEXT NOT NULL REFERENCES users (id),
    printed_at TEXT NOT NULL,
    PRIMARY KEY (payment_id, number)
) STRICT, WITHOUT ROWID;

-- Amounts as they stand on a proof of payment. The last two hold only what differs from what the order costs.
CREATE INDEX payments_by_amount ON payments (amount, created_at);
CREATE INDEX payments_by_amount_due ON payments (amount_due, created_at) WHERE amount_due != amount;
CREATE INDEX payments_by_amount_paid ON payments (amount_paid, created_at) WHERE amount_paid NOT IN (0, amount);
