"""Archived rows are found and come back: equal, once, and never over others."""

from __future__ import annotations

import pytest
from tests.integration.archive.test_archiving import DIGEST
from tests.integration.cli.conftest import Shell


@pytest.fixture
def archived(events: Shell) -> Shell:
    """All that is past its time is archived."""
    events.sql("CREATE TABLE before AS SELECT md5(t::text) AS hash FROM events t")
    assert events("archive", "run").code == 0
    return events


def equal(shell: Shell) -> bool:
    """Whether the table is what it was, row by row."""
    [(ours, theirs)] = shell.sql(
        """SELECT (SELECT count(*) FROM (SELECT md5(t::text) FROM events t EXCEPT ALL SELECT hash FROM before) a),
                  (SELECT count(*) FROM (SELECT hash FROM before EXCEPT ALL SELECT md5(t::text) FROM events t) b)"""
    )
    return (ours, theirs) == (0, 0)


def test_all_rows_come_back_equal_and_once(archived: Shell) -> None:
    rehearsed = archived("archive", "restore", "old_events", "--all", "--dry-run", "--json").document
    assert (rehearsed["rows"], len(rehearsed["archives"])) == (1800, 6)
    assert archived.sql("SELECT count(*) FROM events") == [(202,)]
    done = archived("archive", "restore", "old_events", "--all", "--json")
    assert done.code == 0, done.err
    assert done.document["rows"] == 1800
    assert equal(archived)
    assert archived.sql(DIGEST)[0][0] == 2002
    again = archived("archive", "restore", "old_events", "--all", "--json").document
    assert (again["rows"], again["left"]) == (0, 1800)
    assert archived("archive", "list", "--json").document["archives"] == []
    assert archived("archive", "verify").code == 0
    # What came back is past its time still: the next run archives it anew, and it comes back again.
    assert archived("archive", "run", "--json").document["policies"][0]["rows"] == 1800
    assert archived("archive", "restore", "old_events", "--all", "--json").document["rows"] == 1800
    assert equal(archived)


def test_one_row_and_a_range_come_back(archived: Shell) -> None:
    assert archived("archive", "restore", "old_events", "--key", "4", "--key", "7", "--json").document["rows"] == 2
    assert archived.sql("SELECT id FROM events WHERE id < 10 ORDER BY id") == [(4,), (7,)]
    ranged = archived(
        "archive", "restore", "old_events", "--since", "2021-02-01", "--until", "2021-03-01T00:00:00Z", "--json"
    )
    assert ranged.document["rows"] == 500, ranged.err
    assert archived.sql("SELECT count(*) FROM events WHERE created_at < '2021-03-01' AND state = 'closed'") == [(501,)]
    rest = archived("archive", "restore", "old_events", "--all", "--json").document
    assert rest["rows"] == 1800 - 502
    assert equal(archived)
    assert archived("archive", "restore", "old_events").code == 2
    assert archived("archive", "restore", "old_events", "--key", "four").code == 2
    assert archived("archive", "restore", "nothing", "--all").code == 2


def test_a_row_of_the_same_key_is_not_overwritten_unless_told(archived: Shell) -> None:
    archived.sql("INSERT INTO events (id, state, created_at) VALUES (4, 'mine', now())")
    refused = archived("archive", "restore", "old_events", "--all", "--json")
    assert refused.document["error"]["kind"] == "NotAllowed"
    assert "1 rows of public.events have the keys" in refused.document["error"]["message"]
    assert archived.sql("SELECT state FROM events WHERE id = 4") == [("mine",)]
    done = archived("archive", "restore", "old_events", "--all", "--overwrite", "--json").document
    # Archives before the one with the other's row came back in the first attempt: each is a transaction of its own.
    assert done["overwritten"] == 1
    assert done["rows"] + done["overwritten"] + done["left"] == 1800
    assert equal(archived)


def test_a_row_that_a_trigger_would_change_does_not_come_back(archived: Shell) -> None:
    archived.sql(
        """CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS
               'BEGIN NEW.body := upper(NEW.body); RETURN NEW; END';
           CREATE TRIGGER shout BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION shout()"""
    )
    refused = archived("archive", "restore", "old_events", "--all", "--json").document
    assert "a trigger or rule" in refused["error"]["message"]
    assert archived.sql("SELECT count(*) FROM events") == [(202,)]


def test_columns_that_came_went_and_grew_are_read_as_they_are_now(archived: Shell) -> None:
    archived.sql("ALTER TABLE events ADD COLUMN note text DEFAULT 'none', DROP COLUMN ratio, DROP COLUMN doubled")
    archived.sql("ALTER TABLE events ALTER COLUMN amount TYPE numeric(20,4)")
    archived.sql("ALTER TABLE events RENAME COLUMN mood TO temper")
    new = "9001, 'closed', '2020-01-01', 5, 'new'"
    archived.sql(f"INSERT INTO events (id, state, created_at, amount, note) VALUES ({new})")
    assert archived("archive", "run", "--json").document["policies"][0]["rows"] == 1
    sums = "count(*) AS n, sum(amount) AS total, count(note) AS notes, count(ratio) AS ratios"
    asked = archived("archive", "query", "old_events", f"SELECT {sums} FROM events", "--json")
    assert asked.code == 0, asked.err
    total = sum(n * 1.25 for n in range(1, 2001) if n % 10) + 5
    assert asked.document["rows"] == [{"n": "1801", "total": f"{total:.4f}", "notes": "1", "ratios": "1800"}]
    refused = archived("archive", "restore", "old_events", "--key", "4", "--json").document
    assert refused["error"]["kind"] == "SchemaConflict"
    assert "ratio" in refused["error"]["message"]
    flags = [flag for name in ("ratio", "doubled", "mood") for flag in ("--without", name)]
    assert archived("archive", "restore", "old_events", "--all", *flags, "--json").document["rows"] == 1801
    assert archived.sql("SELECT amount, note FROM events WHERE id = 4") == [(pytest.approx(5), "none")]


def test_a_row_is_got_by_key_wherever_it_is(archived: Shell) -> None:
    [found] = archived("archive", "get", "old_events", "11", "--json").document["rows"]
    assert found["archive"] is not None
    assert found["row"]["body"] == "note 11 naïve 🚀"
    assert found["row"]["grid"] == "{{11,2},{3,NULL}}"
    [found] = archived("archive", "get", "old_events", "10", "--json").document["rows"]
    assert (found["archive"], found["row"]["state"]) == (None, "open")
    assert archived("archive", "get", "old_events", "99999", "--json").document["rows"] == []
    assert archived("archive", "restore", "old_events", "--key", "11").code == 0
    [found] = archived("archive", "get", "old_events", "11", "--json").document["rows"]
    assert found["archive"] is None


def test_rows_are_found_by_their_words(archived: Shell) -> None:
    found = archived("archive", "search", "old_events", "naïve 1234", "--json").document["rows"]
    assert [one["row"]["id"] for one in found] == ["1234"]
    assert len(archived("archive", "search", "old_events", "note", "--limit", "7", "--json").document["rows"]) == 7
    assert archived("archive", "restore", "old_events", "--key", "1234").code == 0
    assert archived("archive", "search", "old_events", "naïve 1234", "--json").document["rows"] == []
    assert archived("archive", "search", "old_events", "!!", "--json").code == 2


def test_archives_and_table_are_asked_as_one(archived: Shell) -> None:
    assert archived("archive", "restore", "old_events", "--key", "4").code == 0
    sql = "SELECT count(*) AS n, count(DISTINCT id) AS ids FROM events"
    assert archived("archive", "query", "old_events", sql, "--json").document["rows"] == [{"n": "1799", "ids": "1799"}]
    both = archived("archive", "query", "old_events", sql, "--with-live", "--json").document["rows"]
    assert both == [{"n": "2002", "ids": "2002"}]
    part = archived("archive", "query", "old_events", sql, "--partition", "2021-02", "--json").document["rows"]
    assert part == [{"n": "500", "ids": "500"}]
    for refused in (
        "COPY (SELECT 1) TO 'x.csv'",
        "SELECT 1; SELECT 2",
        "SELECT * FROM read_csv('letters.yaml')",
        "SELECT nothing FROM events",
        "ATTACH 'x.db'",
    ):
        assert archived("archive", "query", "old_events", refused).code == 2, refused


def test_an_answer_is_told_in_words_whatever_its_types_are(archived: Shell) -> None:
    """Of an interval, a time with a zone, bits and a union Arrow has something else or nothing."""
    query = (
        "SELECT age(TIMESTAMP '2021-03-02', TIMESTAMP '2020-01-01') AS gap, '12:00:00+02'::TIMETZ AS at, "
        "'101'::BIT AS b, union_value(k := 1) AS u, n FROM (SELECT DISTINCT id % 3 AS n FROM events) ORDER BY n DESC"
    )
    answer = archived("archive", "query", "old_events", query, "--json")
    assert answer.code == 0, answer.err
    first, *_ = rows = answer.document["rows"]
    assert [row["n"] for row in rows] == ["2", "1", "0"]
    assert first == {"gap": "1 year 2 months 1 day", "at": "12:00:00+02", "b": "101", "u": "1", "n": "2"}


def test_archives_are_listed_by_what_is_in_them(archived: Shell) -> None:
    def listed(*flags: str) -> int:
        return len(archived("archive", "list", "old_events", *flags, "--json").document["archives"])

    assert listed("--partition", "2021-02") == 2
    assert listed("--attribute", "project=00000000-0000-0000-0000-000000000001") == 6
    assert listed("--attribute", "project=00000000-0000-0000-0000-000000000009") == 0


def test_archives_whose_time_is_over_go_unless_they_are_held(archived: Shell) -> None:
    names = [one["archive"] for one in archived("archive", "list", "--json").document["archives"]]
    assert archived("archive", "expire", "--json").document["removed"] == []
    assert archived("archive", "hold", names[0], "--reason", "case 7").code == 0
    later = ("--now", "2040-01-01")
    rehearsed = archived("archive", "expire", *later, "--dry-run", "--json").document
    assert (len(rehearsed["removed"]), rehearsed["held"]) == (5, [names[0]])
    # The word of the metastore alone removes nothing: the manifest is signed.
    archived.sql(f"UPDATE archives SET retained_until = '2020-01-01' WHERE archive = '{names[1]}'")
    assert "the manifest counts" in archived("archive", "expire").err
    done = archived("archive", "expire", *later, "--json").document
    assert (len(done["removed"]), done["rows"]) == (5, 1800 - 400)
    assert archived("archive", "verify").code == 0
    counted = archived("archive", "query", "old_events", "SELECT count(*) AS n FROM events", "--json").document
    assert counted["rows"] == [{"n": "400"}]
    assert archived("archive", "hold", names[0], "--release", "--reason", "closed").code == 0
    assert archived("archive", "expire", *later, "--json").document["removed"] == [names[0]]
    assert archived("archive", "restore", "old_events", "--all").code == 2
    acts = {one["action"] for one in archived("audit", "list", "--action", "archive", "--json").document["entries"]}
    assert {"archive.expire.ended", "archive.hold.begun"} <= acts


def test_a_held_archive_whose_manifest_is_lost_stays(archived: Shell) -> None:
    """The metastore knows of the hold, and the rows are still in the table's books as archived there."""
    name = archived("archive", "list", "--json").document["archives"][0]["archive"]
    assert archived("archive", "hold", name, "--reason", "case 7").code == 0
    folder = archived.folder / "home" / "archives" / "archives" / "old_events" / name
    manifest = (folder / "manifest.json").read_bytes()
    (folder / "manifest.json").unlink()
    done = archived("archive", "expire", "--now", "2040-01-01", "--json").document
    assert (len(done["removed"]), done["held"]) == (5, [name])
    (folder / "manifest.json").write_bytes(manifest)
    assert archived("archive", "verify").code == 0


def test_small_archives_become_one_and_give_their_rows_back(archived: Shell) -> None:
    assert archived("archive", "restore", "old_events", "--key", "4").code == 0
    policy = archived.folder / "dags" / "archives" / "old_events.yaml"
    policy.write_text(policy.read_text().replace("batch_rows: 400", "batch_rows: 5000"))
    assert len(archived("archive", "compact", "--dry-run", "--json").document["policies"][0]["replaced"]) == 4
    done = archived("archive", "compact", "--json", WORKBENCH_ARCHIVE_REPLACED_DAYS="0").document["policies"][0]
    # Two months had an archive each that was as full as it could be, and a small one.
    assert (len(done["made"]), len(done["replaced"])) == (2, 4)
    checked = archived("archive", "verify", "--json")
    assert checked.code == 0, checked.out
    assert checked.document["archives"] == 4
    found = archived("archive", "search", "old_events", "naïve 1234", "--json").document["rows"]
    assert [one["row"]["id"] for one in found] == ["1234"]
    assert archived("archive", "compact", "--json").document["policies"][0]["made"] == []
    assert archived("archive", "restore", "old_events", "--all", "--json").document["rows"] == 1799
    assert equal(archived)


def test_a_reader_of_both_sees_each_row_once_at_every_moment(events: Shell) -> None:
    """At each named moment of archiving and restoring, archives and table are asked as one."""
    from data_workbench.events import Event, subscribed

    seen: dict[str, set[tuple[str, str]]] = {}
    sql = "SELECT count(*) AS n, count(DISTINCT id) AS ids FROM events"

    def look(event: Event) -> None:
        if event.name in moments and len(seen.get(event.name, ())) < 9:
            [row] = events("archive", "query", "old_events", sql, "--with-live", "--json").document["rows"]
            seen.setdefault(event.name, set()).add((row["n"], row["ids"]))

    moments = {"archive.registered", "archive.before_commit", "archive.after_commit", "archive.before_restore",
               "archive.restored"}  # fmt: skip
    with subscribed(look):
        assert events("archive", "run").code == 0
        assert events("archive", "restore", "old_events", "--partition", "2021-02").code == 0
    assert seen == {moment: {("2002", "2002")} for moment in moments}
