-- A cashier's turn at an outlet's till. `matching` is JSON: what the providers said of its money when it was closed.
CREATE TABLE shifts (
    id        TEXT PRIMARY KEY,
    user_id   TEXT NOT NULL REFERENCES users (id),
    outlet    TEXT NOT NULL,
    opened_at TEXT NOT NULL,
    closed_at TEXT,
    closed_by TEXT REFERENCES users (id) CHECK ((closed_by IS NULL) = (closed_at IS NULL)),
    matching  TEXT
) STRICT;
CREATE UNIQUE INDEX shifts_one_open ON shifts (user_id) WHERE closed_at IS NULL;
CREATE INDEX shifts_by_time ON shifts (opened_at);

-- What a cashier typed in, stored before the payment with this order id is made. `token` is that of the form, so that
-- a second tap finds the first.
CREATE TABLE till_sales (
    order_id   TEXT PRIMARY KEY,
    shift_id   TEXT NOT NULL REFERENCES shifts (id),
    day        TEXT NOT NULL,
    outlet     TEXT NOT NULL,
    number     INTEGER NOT NULL CHECK (number > 0),
    token      TEXT NOT NULL,
    amount     INTEGER NOT NULL CHECK (amount > 0),
    note       TEXT,
    created_at TEXT NOT NULL,
    UNIQUE (shift_id, token),
    UNIQUE (day, outlet, number)
) STRICT;

CREATE INDEX payments_by_outlet_paid ON payments (outlet, paid_at) WHERE paid_at IS NOT NULL;
