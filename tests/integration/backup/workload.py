"""Somebody who writes into PostgreSQL: `python -m tests.integration.backup.workload DSN WRITES_PER_SECOND SEED`.

Every write is a transaction that also says in `ledger` what it did. Several write at once, since each waits for its
commit to reach the disk; each has ids of its own, so the ledger's order is that of the writes of an id. They go on
until the input is closed; then one JSON document is printed: how often they wrote, and for each entry of the ledger
the moments just before and after its transaction.
"""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import count

import psycopg

TABLES = """
CREATE TABLE requirements (id int PRIMARY KEY, parent int, body text NOT NULL, level numeric(6,2));
CREATE TABLE ledger (
    seq bigserial PRIMARY KEY, op text NOT NULL, id int NOT NULL, parent int, body text, level numeric(6,2)
);
INSERT INTO requirements
SELECT n, nullif(n / 7, 0), 'the system shall do ' || n, n / 3.0 FROM generate_series(1, 300) n;
INSERT INTO ledger (op, id, parent, body, level) SELECT 'put', id, parent, body, level FROM requirements;
"""
WRITERS = 8
IDS = 900
_NOTE = """
INSERT INTO ledger (op, id, parent, body, level)
VALUES (%(op)s, %(id)s, %(parent)s, %(body)s, %(level)s) RETURNING seq
"""
# One statement, one transaction, one way there and back.
_PUT = f"""
WITH put AS (
    INSERT INTO requirements VALUES (%(id)s, %(parent)s, %(body)s, %(level)s)
        ON CONFLICT (id) DO UPDATE SET parent = excluded.parent, body = excluded.body, level = excluded.level
) {_NOTE}
"""
_DELETE = f"WITH gone AS (DELETE FROM requirements WHERE id = %(id)s) {_NOTE}"

Told = list[tuple[int, str, str]]


def write(dsn: str, per_second: float, writer: int, seed: int, stop: threading.Event) -> Told:
    """Write at this pace until told to stop; whoever fell behind catches up."""
    chosen = random.Random(f"{seed} {writer}")
    told: Told = []
    began = time.monotonic()
    with psycopg.connect(dsn, autocommit=True) as connection:
        for number in count(1):
            if stop.is_set():
                return told
            op = "delete" if chosen.random() < 0.15 else "put"
            row = {
                "op": op,
                "id": chosen.randrange(writer + 1, IDS + 1, WRITERS),
                "parent": chosen.choice([None, chosen.randint(1, IDS)]),
                "body": f"the system shall do {number} in {chosen.randint(1, 10**6)} ms",
                "level": chosen.randint(0, 99_999) / 100,
            }
            before = datetime.now(UTC)
            [seq] = connection.execute(_PUT if op == "put" else _DELETE, row).fetchone() or [0]
            told.append((seq, before.isoformat(), datetime.now(UTC).isoformat()))
            time.sleep(max(0.0, began + number / per_second - time.monotonic()))
    raise AssertionError("never ends")


def main() -> None:
    """Read the arguments, write, tell."""
    dsn, per_second, seed = sys.argv[1:]
    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
    began = time.monotonic()
    with ThreadPoolExecutor(WRITERS) as beside:
        writing = [
            beside.submit(write, dsn, float(per_second) / WRITERS, writer, int(seed), stop) for writer in range(WRITERS)
        ]
        writes = [one for done in writing for one in done.result()]
    json.dump({"writes": writes, "per_second": len(writes) / (time.monotonic() - began)}, sys.stdout)


if __name__ == "__main__":
    main()
