"""Files by their content and graphs of a SPARQL server in a set, and back, on real servers."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.integration.backup.test_all_stores import succeeded

if TYPE_CHECKING:
    from tests.integration.cli.conftest import Shell

TRIPLES = r"""
@prefix : <http://example.org/> . @prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
:a :p "plain", "tab\tnew\nline \"quoted\" \\ \u00e9\U0001F600", "english"@en, "1"^^xsd:integer, "01"^^xsd:integer,
   "1.50"^^xsd:decimal, "INF"^^xsd:double, true, "x"^^:own, "2020-02-30"^^xsd:date, <http://example.org/with%20space> .
:a :knows [ :name "blank" ; :knows [ :name "another" ] ] .
"""


@pytest.fixture
def site(shell: Shell, fuseki: str, tmp_path: Path) -> Shell:
    """A folder with files of all kinds, and a dataset with a default graph and two others."""
    folder = tmp_path / "objects"
    draw = random.Random(3)
    for name, content in {
        "plan.pdf": draw.randbytes(3_000_000), "copy of plan.pdf": None, "deep/er/é ü.txt": b"text", "empty": b"",
        ".hidden": b"h", "a:b*?.bin": b"name", "Foo::Bar.html": b"words", "back\\slash": b"b", "_x/1": b"1",
    }.items():  # fmt: skip
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes((folder / "plan.pdf").read_bytes() if content is None else content)
    (folder / "link").symlink_to("/etc/hostname")
    with httpx.Client(trust_env=False) as client:
        client.post(f"{fuseki}/update", content=b"DROP ALL", headers={"content-type": "application/sparql-update"})
        for graph in ("default", "graph=http://example.org/g1", "graph=urn:x:two"):
            where = f"{fuseki}/data?{graph}"
            client.put(where, content=TRIPLES.encode(), headers={"content-type": "text/turtle"}).raise_for_status()
    host, _, rest = fuseki.removeprefix("http://").partition(":")
    port, _, dataset = rest.partition("/")
    rdf = {"conn_type": "workbench_rdf", "host": host, "port": int(port), "schema": dataset}
    shell.variables = {
        **shell.variables,
        "AIRFLOW_CONN_OBJECTS": json.dumps({"conn_type": "workbench_files", "host": f"file://{folder}"}),
        "AIRFLOW_CONN_FUSEKI": json.dumps(rdf),
        "WORKBENCH_BACKUP_STORES": "objects,fuseki",
    }
    assert shell("db", "upgrade").code == 0
    return shell


def hashes(folder: Path) -> dict[str, str]:
    found = (one for one in folder.rglob("*") if one.is_file() and not one.is_symlink())
    return {one.relative_to(folder).as_posix(): hashlib.sha256(one.read_bytes()).hexdigest() for one in found}


def graphs(fuseki: str) -> Any:
    """What the server itself says of them, without the names of blank nodes."""
    query = """SELECT ?g (IF(isBlank(?s), "b", STR(?s)) AS ?x) ?p (IF(isBlank(?o), "b", STR(?o)) AS ?y)
        (DATATYPE(?o) AS ?d) (LANG(?o) AS ?l) { { ?s ?p ?o } UNION { GRAPH ?g { ?s ?p ?o } } }"""
    asked = {"query": query, "format": "csv"}
    with httpx.Client(trust_env=False) as client:
        return sorted(client.post(f"{fuseki}/query", data=asked, headers={"accept": "text/csv"}).text.splitlines())


def test_files_and_graphs_come_back_as_they_were(site: Shell, fuseki: str, tmp_path: Path) -> None:
    folder = tmp_path / "objects"
    before = hashes(folder), graphs(fuseki)
    made = succeeded(site("backup", "create", "--json"))
    assert made["stores"]["objects"]["count"] == 9
    assert made["stores"]["fuseki"]["count"] == 42
    assert made["new_bytes"] < 3_500_000, "the same content twice is kept once"
    assert succeeded(site("backup", "create", "--json"))["new_bytes"] < 20_000

    drilled = succeeded(site("backup", "verify", "--drill", "--json"))
    assert {one["outcome"] for one in drilled["drill"]["stores"].values()} == {"passed"}

    (folder / "plan.pdf").write_bytes(b"ransom")
    (folder / "deep" / "er" / "é ü.txt").unlink()
    (folder / "intruder").write_bytes(b"x")
    with httpx.Client(trust_env=False) as client:
        where, turtle = f"{fuseki}/data?graph=urn:x:intruder", {"content-type": "text/turtle"}
        client.put(where, content=b"<a:b> <a:c> 1 .", headers=turtle)
        client.delete(f"{fuseki}/data?graph=urn:x:two")
    told = succeeded(site("backup", "restore", made["set"], "--yes", "--json"))
    assert (hashes(folder), graphs(fuseki)) == before
    assert told["stores"]["objects"]["streams"] == 1
    assert (folder / "link").is_symlink()
    kept = succeeded(site("backup", "show", told["replaced_set"], "--json"))["stores"]
    assert (kept["objects"]["streams"]["files"]["count"], "urn:x:intruder" in kept["fuseki"]["streams"]) == (9, True)

    refused = site("backup", "restore", made["set"], "--beside", "copy", "--store", "objects", "--json")
    assert refused.document["error"]["kind"] == "Unsupported"
    inside = site("backup", "create", "--repository", f"{folder}/backups", "--json")
    assert (inside.code, inside.document["error"]["kind"]) == (2, "UsageError")

    folder.rename(tmp_path / "unmounted")
    gone = site("backup", "create", "--json")
    assert (gone.code, gone.document["error"]["kind"]) == (1, "StoreUnavailable"), "not taken for an empty one"
    succeeded(site("backup", "restore", made["set"], "--store", "objects", "--yes", "--json"))
    assert hashes(folder) == before[0], "into a folder that is not there"
