"""Follows all payments with `GET /events`: nothing is lost, nothing comes twice. Python 3.9 or newer, no packages.

API_URL=http://127.0.0.1:8000 API_KEY=qrisd_test_... python3 till.py

The key needs the scope events:read. Run one at a time; stop it as you like, even by the plug: till.db knows the place.
"""

import http.client
import json
import os
import random
import sqlite3
import sys
import time
from urllib.error import HTTPError
from urllib.request import Request, urlopen

till = sqlite3.connect("till.db")
till.execute("CREATE TABLE IF NOT EXISTS book (event_id INTEGER PRIMARY KEY, order_id, type, status, exception)")


def ask(after):
    """The events behind `after`; waits up to 25 seconds for the next one."""
    request = Request(f"{os.environ['API_URL']}/events?after={after}&wait=25")
    request.add_header("Authorization", f"Bearer {os.environ['API_KEY']}")
    with urlopen(request, timeout=40) as answer:  # longer than it waits
        return json.load(answer)["data"]


def write_down(event):
    """One transaction for what the till keeps and for where it is: the newest event in the book is the place."""
    payment = event["data"]
    row = (event["id"], payment["order_id"], event["type"], payment["status"], payment["exception"])
    with till:
        till.execute("INSERT INTO book VALUES (?, ?, ?, ?, ?)", row)
        # What else the till keeps in till.db (stock, the day's takings) belongs here.
    if event["type"] == "payment.paid" and payment["exception"] is None:
        # Once it is written down: a crash just here leaves this out, so look into the book after a start.
        print(payment["order_id"], "is paid", flush=True)


pause_s = 1.0
while True:
    # 0 is before the very first event. To leave the past out, ask once with after=latest and book its next_after.
    (after,) = till.execute("SELECT coalesce(max(event_id), 0) FROM book").fetchone()
    try:
        events = ask(after)
    except (OSError, http.client.HTTPException, ValueError) as error:
        if isinstance(error, HTTPError) and error.code in (400, 401, 403, 404, 422):
            sys.exit(f"A person is needed: {error.read().decode()}")  # a wrong key; a server from an older backup
        print(f"The server is away ({error}); asking again", file=sys.stderr)
        time.sleep(pause_s * random.uniform(0.5, 1))  # so that not all tills come back in the same moment
        pause_s = min(pause_s * 2, 30)
        continue
    pause_s = 1.0
    for event in events:
        write_down(event)
