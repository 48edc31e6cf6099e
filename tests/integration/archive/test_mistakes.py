"""Mistakes that people make in policies and commands: each is answered with what is wrong and what to do next."""

from __future__ import annotations

import pytest
from tests.integration.archive.conftest import POLICY
from tests.integration.cli.conftest import Shell

POLICIES = {
    "a word too many": (POLICY + "retenion: 7y\n", "retention"),
    "no version": (POLICY.replace("version: 1\n", ""), "version"),
    "a later version": (POLICY.replace("version: 1", "version: 2"), "version"),
    "a grain there is not": (POLICY.replace("month", "week"), "'week'"),
    "a time in words": (POLICY.replace("1y}", "two years}"), "write for example 90d, 26w, 18mo or 7y"),
    "an age that is no mapping": (POLICY.replace("{column: created_at, older_than: 1y}", "created_at"), "age"),
    "no rows at all": (POLICY.replace("400", "0"), "batch_rows"),
    "a number in words": (POLICY.replace("400", "many"), "batch_rows"),
    "a name that is no name": (POLICY.replace("old_events", "Old Events"), "is no name"),
    "columns that are no list": (POLICY.replace("[body]", "{body: 1}"), "search"),
    "a condition cut off": (POLICY.replace("state = 'closed'", "state = 'closed' and"), "where"),
    "two statements": (POLICY.replace("state = 'closed'", "state = 'closed'; drop table events"), "where"),
    "a tab": (POLICY.replace("search:", "\tsearch:"), "tab"),
    "nothing": ("", "is empty"),
    "a list": ("- archive: x\n", "holds a list"),
    "a graph without its label": (POLICY + "graph: {connection: g}\n", "label"),
}
AT_THE_TABLE = {
    "a connection there is not": (POLICY.replace("site", "nowhere"), "nowhere"),
    "a connection of another kind": (POLICY.replace("site", "files"), "rows of PostgreSQL are archived"),
    "a table there is not": (POLICY.replace("public.events", "public.event"), "public.events"),
    "an age there is not": (POLICY.replace("created_at", "created"), "it has id, state, created_at"),
    "an age that is no time": (POLICY.replace("created_at", "project"), "no time"),
    "words of a column there is not": (POLICY.replace("[body]", "[bodies]"), "it has id, state"),
    "a condition on a column there is not": (POLICY.replace("state =", "status ="), "status"),
    "a text in double quotes": (POLICY.replace("'closed'", '"closed"'), "a text stands in single quotes: 'closed'"),
    "a graph that is none": (POLICY + "graph: {connection: files, label: Event}\n", "a graph is in Neo4j"),
    "vectors there are not": (POLICY + "vectors: {connection: nowhere, collection: x}\n", "nowhere"),
    "another key of nodes": (POLICY + "graph: {connection: graph, label: E, key: [a, b]}\n", "names 2 properties"),
    "a condition PostgreSQL reads otherwise": (POLICY.replace("state =", "upper(state) ="), "compare columns"),
}


@pytest.mark.parametrize("mistake", POLICIES)
def test_a_mistake_in_a_policy_is_answered_with_its_place(events: Shell, mistake: str) -> None:
    text, told = POLICIES[mistake]
    policy = events.folder / "dags" / "archives" / "old_events.yaml"
    policy.write_text(text)
    for flags in ((), ("--dry-run",), ("--json",)):
        answer = events("archive", "run", *flags)
        assert answer.code == 2, answer.err
        assert told in answer.err, answer.err
        assert f"{policy.name}:" in answer.err, "the file and the line"
    assert events("archive", "run", "--json").document["error"]["kind"] == "DefinitionError"


@pytest.mark.parametrize("mistake", AT_THE_TABLE)
def test_a_mistake_that_the_table_shows_is_answered_before_anything_is_done(events: Shell, mistake: str) -> None:
    text, told = AT_THE_TABLE[mistake]
    (events.folder / "dags" / "archives" / "old_events.yaml").write_text(text)
    others = {
        "AIRFLOW_CONN_FILES": '{"conn_type": "workbench_files", "host": "file:///tmp"}',
        "AIRFLOW_CONN_GRAPH": '{"conn_type": "neo4j", "host": "127.0.0.1", "port": 1, "login": "a", "password": "b"}',
    }
    for flags in ((), ("--dry-run",), ("--json",)):
        answer = events("archive", "run", *flags, **others)
        assert answer.code in (1, 2), answer.err
        assert told in answer.err, answer.err
        assert "policy old_events: " in answer.err, "which of those in the folder"
        assert "next: " in answer.err
    assert events.sql("SELECT count(*) FROM events") == [(2002,)]
    assert not list((events.folder / "home").rglob("*.parquet"))


COMMANDS = [
    (("get", "old_event", "1"), 2, "policies with archives: old_events"),
    (("get", "old_events", "1", "2"), 2, "a key has 1 value: id"),
    (("get", "old_events", "one"), 2, "'one' is no value of id int8"),
    (("get", "old_events", "-5"), 2, "-5"),
    (("search", "old_events", "..."), 2, "no word to look for"),
    (("query", "old_events", "SELECT nothing FROM events"), 2, "nothing"),
    (("query", "old_events", "SELECT * FROM event"), 2, "events"),
    (("query", "old_events", "DELETE FROM events"), 2, "a query is one SELECT"),
    (("query", "old_events", ""), 2, "a query is one SELECT"),
    (("query", "old_events", "SELECT * FROM read_csv('/etc/passwd')"), 2, "/etc/passwd"),
    (("query", "old_events", "SELECT * FROM '/etc/passwd'"), 2, "/etc/passwd"),
    (("query", "old_events", "COPY events TO '/tmp/events.csv'"), 2, "a query is one SELECT"),
    (("query", "old_events", "ATTACH '/tmp/events.db'"), 2, "a query is one SELECT"),
    (("query", "old_events", "PRAGMA database_list"), 2, "a query is one SELECT"),
    (("query", "old_events", "SET enable_external_access = true"), 2, "a query is one SELECT"),
    (("query", "old_events", "SELECT id, state, id FROM events"), 2, "more than one column called id"),
    (("query", "old_events", "SELECT 1", "--partition", "2031-01"), 2, "2021-01"),
    (("restore", "old_events"), 2, "--key, --archive, --partition, --since, or --all"),
    (("restore", "old_events", "--partition", "2031-01"), 2, "2021-01"),
    (("restore", "old_events", "--archive", "20210101T000000Z-0123456789ab"), 2, "workbench archive list"),
    (("restore", "old_events", "--since", "yesterday"), 2, "write it as 2026-11-23T10:15:00Z"),
    (("restore", "old_events", "--all", "--rename", "body"), 2, "NAME=VALUE"),
    (("restore", "old_events", "--all", "--without", "bodies"), 2, "bodies"),
    (("list", "old_event"), 2, "policies with archives: old_events"),
    (("list", "--attribute", "colour=red"), 2, "project"),
    (("list", "--attribute", "project"), 2, "NAME=VALUE"),
    (("verify", "old_event"), 2, "policies with archives: old_events"),
    (("verify", "--shelf", "/nowhere/at/all"), 1, "no shelf of archives"),
    (("run", "old_event"), 2, "policies in"),
    (("run", "nothing.yaml"), 2, "cannot be read"),
    (("run", "--now", "soon"), 2, "no time"),
    (("compact", "old_event"), 2, "policies in"),
    (("hold", "20210101T000000Z-0123456789ab", "--reason", "x"), 2, "workbench archive list"),
    (("hold", "../../etc", "--reason", "x"), 2, "no archive"),
    (("expire", "--now", "later"), 2, "no time"),
]


def test_a_mistake_in_a_command_is_answered_with_what_there_is(events: Shell) -> None:
    assert events("archive", "run").code == 0
    standing = events.sql("SELECT count(*) FROM events")
    for given, code, told in COMMANDS:
        answer = events("archive", *given)
        assert (answer.code, told in answer.err) == (code, True), (given, answer)
        as_json = events("archive", *given[:1], "--json", *given[1:])
        assert as_json.code == code
        if "Usage:" not in answer.err:  # click's own answers are words
            assert told in f"{as_json.document['error']}".replace("\\\\", "\\"), (given, as_json)
    assert events.sql("SELECT count(*) FROM events") == standing


def test_a_policy_is_named_by_its_file_or_by_what_it_calls_itself(events: Shell) -> None:
    folder = events.folder / "dags" / "archives"
    (folder / "old_events.yaml").rename(folder / "nightly.yaml")
    for name in ("nightly", "old_events", str(folder / "nightly.yaml")):
        assert events("archive", "run", name, "--dry-run", "--json").document["policies"][0]["policy"] == "old_events"
    (folder / "copy.yaml").write_text(POLICY)
    answer = events("archive", "run")
    assert (answer.code, "stands in another file, too" in answer.err) == (2, True), answer.err


def test_a_policy_that_fails_keeps_no_other_from_being_carried_out(events: Shell) -> None:
    folder = events.folder / "dags" / "archives"
    for name in ("another", "lost"):
        (folder / f"{name}.yaml").write_text(POLICY.replace("old_events", name).replace("public.events", "public.lost"))
    for flags in (("--dry-run",), ()):
        answer = events("archive", "run", *flags, "--json")
        assert answer.code == 1
        assert [one["policy"] for one in answer.document["policies"]] == ["old_events"]
        assert "policy another: no table" in answer.document["error"]["message"]
        assert "policy lost: no table" in answer.err
    assert events.sql("SELECT count(*) FROM events") == [(202,)]
    assert "old_events: 0 rows" in events("archive", "run").out


def test_a_policy_that_fails_keeps_no_other_from_being_compacted(events: Shell) -> None:
    assert events("archive", "run").code == 0
    folder = events.folder / "dags" / "archives"
    for name in ("another", "lost"):
        (folder / f"{name}.yaml").write_text(POLICY.replace("old_events", name).replace("public.events", "public.lost"))
    for flags in (("--dry-run",), ()):
        answer = events("archive", "compact", *flags, "--json")
        assert answer.code == 1
        assert [one["policy"] for one in answer.document["policies"]] == ["old_events"]
        assert "policy another: no table" in answer.document["error"]["message"]
        assert "policy lost: no table" in answer.err
    answer = events("archive", "compact")
    assert (answer.code, "old_events: 0 archives" in answer.out) == (1, True), answer.out
