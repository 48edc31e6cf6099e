"""What fails on the way: a full disk, a session that dies, a shelf that goes, others at work; each row stands once."""

from __future__ import annotations

import os
import random
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from tests.integration.archive.tables import policy
from tests.integration.cli.conftest import COMMAND, Shell

from data_workbench.events import Event, subscribed

ROWS = 600


@pytest.fixture
def things(shell: Shell) -> Shell:
    """Rows that hardly shrink, in six archives, and notes that go along."""
    shell.sql("CREATE TABLE things (id int PRIMARY KEY, at date, v text)")
    shell.sql("CREATE TABLE notes (id int PRIMARY KEY, thing int REFERENCES things ON DELETE CASCADE)")
    shell.sql(f"""INSERT INTO things SELECT n, '2020-01-01', (SELECT string_agg(md5(n || '-' || k), '') FROM
        generate_series(1, 40) k) FROM generate_series(1, {ROWS}) n""")
    shell.sql("INSERT INTO notes SELECT id, id FROM things")
    policy(shell, "public.things", batch_rows="100", referenced="take")
    return shell


def require_each_once(shell: Shell, gone: int = 0) -> int:
    """Every row and every note once, over archives and tables as one; how many rows are in the table."""
    [(hot,)] = shell.sql("SELECT count(*) FROM things")
    if shell("archive", "list", "olds", "--all", "--json").code:
        assert hot == ROWS - gone
        return ROWS - gone
    for name, table in (("olds", "things"), ("olds.notes", "notes")):
        text = f"SELECT count(*) AS n, count(DISTINCT id) AS ids FROM {table}"
        found = shell("archive", "query", name, text, "--with-live", "--json")
        assert found.code == 0, found.err
        assert found.document["rows"] == [{"n": f"{ROWS - gone}", "ids": f"{ROWS - gone}"}], table
    return int(hot)


def at(name: str, occurrence: int, deed: Callable[[], object]) -> Callable[[Event], None]:
    """Do something at the n-th event of a name."""
    left = [occurrence]

    def handler(event: Event) -> None:
        if event.name == name:
            left[0] -= 1
            if left[0] == 0:
                deed()

    return handler


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 320 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=320k", "tmpfs", str(folder)], capture_output=True)
    if made.returncode:
        pytest.skip("nobody here may mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_becomes_full_on_the_way_leaves_the_rest_where_it_is(things: Shell, small_disk: Path) -> None:
    place = {"WORKBENCH_ARCHIVES": str(small_disk / "shelf")}
    full = things("archive", "run", "--json", **place)
    assert full.code == 1
    assert full.document["error"]["kind"] == "ResourceExhausted", full.err
    shell = Shell(things.folder, {**things.variables, **place}, things.dsn)
    left = require_each_once(shell)
    assert 0 < left < ROWS, "some went before it was full"
    assert shell("archive", "run", "--json").document["error"]["kind"] == "ResourceExhausted"
    require_each_once(shell)
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    again = shell("archive", "run", "--json")
    assert again.code == 0, again.err
    assert require_each_once(shell) == 0
    assert shell("archive", "verify").code == 0


@pytest.mark.parametrize("point", ["archive.part", "archive.registered", "archive.locked", "archive.before_commit"])
def test_a_session_that_dies_at_the_server_is_made_up_for(things: Shell, point: str) -> None:
    end = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
              WHERE datname = current_database() AND pid <> pg_backend_pid()"""
    with subscribed(at(point, 3, lambda: things.sql(end))):
        dead = things("archive", "run", "--json")
    assert dead.code == 1
    assert dead.document["error"]["kind"] in ("StoreUnavailable", "RetriableError", "StoreBusy"), dead.err
    require_each_once(things)
    again = things("archive", "run", "--json")
    assert again.code == 0, again.err
    assert require_each_once(things) == 0
    assert things("archive", "verify").code == 0


@pytest.mark.parametrize("point", ["archive.part", "archive.written", "archive.registered"])
def test_a_shelf_that_goes_on_the_way_leaves_rows_where_they_are(things: Shell, point: str) -> None:
    shelf = things.folder / "home" / "archives"
    away = shelf.with_name("away")
    with subscribed(at(point, 3, lambda: shelf.rename(away))):
        dead = things("archive", "run", "--json")
    assert dead.code == 1, dead.out
    if shelf.exists():  # what was just being written went into a folder of that name
        for path in sorted(shelf.rglob("*"), reverse=True):
            path.unlink() if path.is_file() else path.rmdir()
        shelf.rmdir()
    away.rename(shelf)
    require_each_once(things)
    assert things("archive", "run").code == 0
    assert require_each_once(things) == 0
    checked = things("archive", "verify", "--json")
    assert checked.code == 0, checked.out


def test_what_others_write_meanwhile_is_theirs(things: Shell) -> None:
    """Two sessions change, delete and refer to rows while they are archived."""
    chance, stop, deleted, changed = random.Random(5), threading.Event(), set[int](), dict[int, str]()

    def work() -> None:
        with psycopg.connect(things.dsn, autocommit=True) as other:
            while not stop.is_set():
                one = chance.randint(1, ROWS)
                if chance.random() < 0.3 and one not in changed:
                    if other.execute("DELETE FROM things WHERE id = %s", (one,)).rowcount:
                        deleted.add(one)
                elif other.execute("UPDATE things SET v = 'mine' WHERE id = %s", (one,)).rowcount:
                    changed[one] = "mine"

    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(work)
        ran = things("archive", "run", "--json")
        stop.set()
        working.result()
    assert ran.code == 0, ran.err
    assert deleted or changed, "somebody was at work"
    require_each_once(things, gone=len(deleted))
    assert things("archive", "run").code == 0
    text = "SELECT count(*) AS n, count(*) FILTER (WHERE v = 'mine') AS mine FROM things"
    found = things("archive", "query", "olds", text, "--with-live", "--json").document["rows"]
    assert found == [{"n": f"{ROWS - len(deleted)}", "mine": f"{len(changed.keys() - deleted)}"}]


def test_two_runs_at_once_archive_each_row_once(things: Shell) -> None:
    runs = [
        subprocess.Popen(
            [*COMMAND, "archive", "run", "--json"], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=dict(things.variables), cwd=things.folder,
        )
        for _ in range(3)
    ]  # fmt: skip
    ends = [(run.communicate(timeout=180), run.returncode) for run in runs]
    assert 0 in [code for _, code in ends], ends
    for (out, err), code in ends:
        assert "Traceback" not in err
        assert code == 0 or "StoreBusy" in out, (out, err)
    assert require_each_once(things) == 0
    assert things("archive", "verify").code == 0


def test_whatever_is_changed_on_a_shelf_is_found_and_named(things: Shell) -> None:
    """Bits, lengths, lost and foreign files, of every kind of file there is; and nothing is found where nothing is."""
    assert things("archive", "run").code == 0
    [one, *_] = things("archive", "list", "olds", "--json").document["archives"]
    assert things("archive", "hold", one["archive"], "--reason", "case 7").code == 0
    shelf = things.folder / "home" / "archives"
    chance = random.Random(7)
    files = [path for path in sorted(shelf.rglob("*")) if path.is_file()]
    assert {path.suffix for path in files} == {".json", ".parquet"}
    assert any(path.name == "hold.json" for path in files)
    for _ in range(int(os.environ.get("WORKBENCH_TAMPERINGS", "12"))):
        victim = chance.choice(files)
        content = victim.read_bytes()
        how = chance.choice(["bit", "cut", "longer", "lost"])
        if how == "bit":
            place = chance.randrange(len(content))
            victim.write_bytes(
                content[:place] + bytes([content[place] ^ 1 << chance.randrange(8)]) + content[place + 1 :]
            )
        elif how == "cut":
            victim.write_bytes(content[: chance.randrange(len(content))])
        elif how == "longer":
            victim.write_bytes(content + b"\n")
        else:
            victim.unlink()
        found = things("archive", "verify", "--json")
        assert found.code == 1, (victim, how)
        assert victim.name == "shelf.json" or victim.parent.name in found.document["problems"], (victim, how, found.out)
        victim.write_bytes(content)
    assert things("archive", "verify").code == 0
