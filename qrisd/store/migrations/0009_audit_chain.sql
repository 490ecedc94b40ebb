-- Every row of the audit log carries a hash over itself and the hash of the row before it. What was there before is
-- sealed as it stands now; `audit_link` is domain/audit_chain.py.
ALTER TABLE audit_log ADD COLUMN hash TEXT NOT NULL DEFAULT '';

DROP TRIGGER audit_log_is_not_changed;
WITH RECURSIVE chain (id, hash) AS (
    SELECT 0, printf('%064d', 0)
    UNION ALL
    SELECT l.id, audit_link(chain.hash, l.id, l.at, l.who, l.action, l.what, l.before, l.after, l.why, l.source)
    FROM chain JOIN audit_log l ON l.id = chain.id + 1)
UPDATE audit_log SET hash = chain.hash FROM chain WHERE chain.id = audit_log.id;
CREATE TRIGGER audit_log_is_not_changed BEFORE UPDATE ON audit_log
BEGIN
    SELECT RAISE(ABORT, 'audit_log is append-only');
END;

-- The newest row, known beside the log, so that rows missing at its end are missed.
CREATE TABLE audit_head (
    one    INTEGER PRIMARY KEY CHECK (one = 1),
    log_id INTEGER NOT NULL,
    hash   TEXT NOT NULL
) STRICT;
INSERT INTO audit_head (one, log_id, hash) SELECT 1, 0, printf('%064d', 0);
UPDATE audit_head SET (log_id, hash) = (SELECT id, hash FROM audit_log ORDER BY id DESC LIMIT 1)
WHERE EXISTS (SELECT 1 FROM audit_log);
CREATE TRIGGER audit_log_moves_its_head AFTER INSERT ON audit_log
BEGIN
    UPDATE audit_head SET log_id = NEW.id, hash = NEW.hash;
END;
CREATE TRIGGER audit_head_moves_a_row_at_a_time BEFORE UPDATE ON audit_head WHEN NEW.log_id != OLD.log_id + 1
BEGIN
    SELECT RAISE(ABORT, 'audit_head follows audit_log');
END;
CREATE TRIGGER audit_head_is_not_deleted BEFORE DELETE ON audit_head
BEGIN
    SELECT RAISE(ABORT, 'audit_head stays');
END;

CREATE INDEX audit_log_by_what ON audit_log (what, id) WHERE what IS NOT NULL;
CREATE INDEX audit_log_by_who ON audit_log (who, id);

-- Refunds are exported by the day on which they were asked for, the ledger by the day on which the money moved.
CREATE INDEX refunds_by_time ON refunds (created_at, id);
CREATE INDEX ledger_entries_by_time ON ledger_entries (happened_at, id);
