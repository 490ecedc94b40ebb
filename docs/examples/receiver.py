"""Takes qrisd's callbacks: checks who sent them, keeps each once, answers at once. Python 3.9 or newer, no packages.

CALLBACK_SECRETS="whsec_..." python3 receiver.py

CALLBACK_SECRETS is what `qrisd callbacks secret` prints; while the secret is changed, both with a space between.
It listens on http://127.0.0.1:9000 (PORT for another): put a web server with https before it, or take the functions.
"""

import base64
import hmac
import json
import os
import re
import sqlite3
import sys
import time
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEYS = [base64.b64decode(secret.removeprefix("whsec_")) for secret in os.environ["CALLBACK_SECRETS"].split()]
if not KEYS or any(len(key) < 24 for key in KEYS):
    sys.exit("CALLBACK_SECRETS is not what `qrisd callbacks secret` prints")


def is_genuine(headers, body):
    """Signed with a secret of ours, less than five minutes ago. `body` is the bytes that came, before any parsing."""
    timestamp = headers.get("webhook-timestamp", "")
    if not re.fullmatch("[0-9]{1,12}", timestamp) or abs(time.time() - int(timestamp)) > 300:
        return False
    content = f"{headers.get('webhook-id', '')}.{timestamp}.".encode() + body
    ours = [b"v1," + base64.b64encode(hmac.digest(key, content, "sha256")) for key in KEYS]
    sent = headers.get("webhook-signature", "").encode().split()  # there are two while the secret is changed
    return any(hmac.compare_digest(one, other) for one in ours for other in sent)


def keep(webhook_id, event):
    """True when it is news. One transaction, on the disk before we answer; if it fails, the callback is sent again."""
    payment = event["data"]
    row = (payment["id"], event["sequence"], payment["order_id"], payment["status"], payment["exception"])
    with closing(sqlite3.connect("shop.db", timeout=5)) as shop, shop:
        if not shop.execute("INSERT OR IGNORE INTO seen VALUES (?)", (webhook_id,)).rowcount:
            return False  # the same callback again: our answer was lost, or somebody replayed it
        # Callbacks may overtake each other: the highest sequence says how a payment stands.
        changed = """INSERT INTO payments VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET
            sequence = excluded.sequence, status = excluded.status, exception = excluded.exception
            WHERE excluded.sequence > sequence"""
        return shop.execute(changed, row).rowcount > 0


class Receiver(BaseHTTPRequestHandler):
    timeout = 10  # seconds for a sender that stalls

    def do_POST(self):
        body = self.rfile.read(max(0, min(int(self.headers.get("content-length") or 0), 1_000_000)))
        if not is_genuine(self.headers, body):
            return self.answer(401)
        event = json.loads(body)
        news = event["type"].startswith("payment.") and keep(self.headers["webhook-id"], event)
        self.answer(200)  # slow work (mail, stock) comes after this; a crash just here leaves it out
        if news:  # PAID without an exception: the goods may go
            print(
                event["data"]["order_id"], "is", event["data"]["status"], event["data"]["exception"] or "", flush=True
            )

    def answer(self, status):
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_request(self, *_):
        pass


with closing(sqlite3.connect("shop.db")) as shop:
    shop.execute("CREATE TABLE IF NOT EXISTS seen (webhook_id TEXT PRIMARY KEY)")
    shop.execute("CREATE TABLE IF NOT EXISTS payments (id TEXT PRIMARY KEY, sequence INT, order_id, status, exception)")
ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "9000"))), Receiver).serve_forever()
