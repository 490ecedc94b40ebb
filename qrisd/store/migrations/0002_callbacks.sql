-- One event on its way to a merchant's server, written in the transaction of the event. Its id is sent as webhook-id.
CREATE TABLE callbacks (
    id           TEXT PRIMARY KEY,
    event_id     INTEGER NOT NULL UNIQUE REFERENCES events (id),
    payment_id   TEXT NOT NULL REFERENCES payments (id),
    url          TEXT NOT NULL,
    endpoint     TEXT NOT NULL,
    origin       TEXT NOT NULL,
    status       TEXT NOT NULL CHECK (status IN ('WAITING', 'DELIVERED', 'DEAD')),
    tries        INTEGER NOT NULL CHECK (tries >= 0),
    next_try_at  TEXT CHECK ((next_try_at IS NOT NULL) = (status = 'WAITING')),
    reason       TEXT,
    created_at   TEXT NOT NULL,
    delivered_at TEXT CHECK ((delivered_at IS NOT NULL) = (status = 'DELIVERED'))
) STRICT;
CREATE INDEX callbacks_waiting ON callbacks (origin, next_try_at) WHERE status = 'WAITING';
CREATE INDEX callbacks_dead ON callbacks (endpoint, event_id) WHERE status = 'DEAD';
CREATE INDEX callbacks_by_payment ON callbacks (payment_id, event_id);

CREATE TABLE callback_tries (
    id          INTEGER PRIMARY KEY,
    callback_id TEXT NOT NULL REFERENCES callbacks (id),
    tried_at    TEXT NOT NULL,
    latency_ms  INTEGER NOT NULL,
    status_code INTEGER,
    address     TEXT,
    answer      TEXT,
    error       TEXT
) STRICT;
CREATE INDEX callback_tries_by_callback ON callback_tries (callback_id, id);

-- Only receivers in trouble have a row: failing, or switched off.
CREATE TABLE callback_endpoints (
    url            TEXT PRIMARY KEY,
    failing_since  TEXT,
    last_failed_at TEXT,
    off_since      TEXT,
    reason         TEXT
) STRICT;

-- What happened before callbacks were sent is old news: nobody is told now, but it can be replayed.
WITH old (event_id, payment_id, url, host, created_at) AS (
    SELECT e.id, e.payment_id, p.callback_url,
           replace(substr(p.callback_url, instr(p.callback_url, '://') + 3), '?', '/') || '/', e.created_at
    FROM events e JOIN payments p ON p.id = e.payment_id WHERE p.callback_url IS NOT NULL)
INSERT INTO callbacks (id, event_id, payment_id, url, endpoint, origin, status, tries, reason, created_at)
SELECT 'msg_' || lower(hex(randomblob(16))), event_id, payment_id, url, substr(url, 1, instr(url || '?', '?') - 1),
       lower(substr(url, 1, instr(url, '://') + 2) || substr(host, 1, instr(host, '/') - 1)),
       'DEAD', 0, 'it happened before callbacks were sent', created_at
FROM old;
