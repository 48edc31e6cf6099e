"""Somebody who writes into PostgreSQL: `python -m tests.integration.backup.workload DSN WRITES_PER_SECOND SEED`.

Every write is a transaction that also says in `ledger` what it did. It goes on until its input is closed, then prints
one JSON document: for each entry of the ledger the moments just before and after its commit.
"""

from __future__ import annotations

import json
import random
import sys
import threading
import time
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
_PUT = """
INSERT INTO requirements VALUES (%(id)s, %(parent)s, %(body)s, %(level)s)
    ON CONFLICT (id) DO UPDATE SET parent = excluded.parent, body = excluded.body, level = excluded.level
"""
_NOTE = """
INSERT INTO ledger (op, id, parent, body, level) VALUES (%(op)s, %(id)s, %(parent)s, %(body)s, %(level)s) RETURNING seq
"""


def write(dsn: str, per_second: float, seed: int, stop: threading.Event) -> list[tuple[int, str, str]]:
    """Write at this pace until told to stop."""
    chosen = random.Random(seed)
    told: list[tuple[int, str, str]] = []
    began = time.monotonic()
    with psycopg.connect(dsn) as connection:
        for number in count(1):
            if stop.is_set():
                return told
            op = "delete" if chosen.random() < 0.15 else "put"
            row = {
                "op": op,
                "id": chosen.randint(1, 900),
                "parent": chosen.choice([None, chosen.randint(1, 900)]),
                "body": f"the system shall do {number} in {chosen.randint(1, 10**6)} ms",
                "level": chosen.randint(0, 99_999) / 100,
            }
            connection.execute(_PUT if op == "put" else "DELETE FROM requirements WHERE id = %(id)s", row)
            [seq] = connection.execute(_NOTE, row).fetchone() or [0]
            before = datetime.now(UTC)
            connection.commit()
            told.append((seq, before.isoformat(), datetime.now(UTC).isoformat()))
            time.sleep(max(0.0, began + number / per_second - time.monotonic()))
    raise AssertionError("never ends")


def main() -> None:
    """Read the arguments, write, tell."""
    dsn, per_second, seed = sys.argv[1:]
    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
    json.dump(write(dsn, float(per_second), int(seed), stop), sys.stdout)


if __name__ == "__main__":
    main()
