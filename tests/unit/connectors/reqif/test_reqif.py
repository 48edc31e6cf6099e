"""ReqIF documents: types as columns, relations, hierarchy, quirks of tools, and what must not be believed."""

from __future__ import annotations

import datetime as dt
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from data_workbench.connectors.base import CursorRequest, ReadRequest, Rejection
from data_workbench.connectors.connections import Connection, from_url
from data_workbench.connectors.reqif.source import ReqifSource
from data_workbench.errors import (
    AccessDenied,
    ResourceExhausted,
    SchemaConflict,
    StreamUnknown,
    Unsupported,
    UsageError,
    WorkbenchError,
)
from data_workbench.settings import Settings
from fixtures.reqif_documents import Style, document, labels, spec_object, value
from odras_demo.weaknesses import by_family

REQUIREMENTS = "objects:Requirement"


def source(place: Path, **settings: Any) -> ReqifSource:
    connection = Connection(id="reqs", kind="workbench_reqif", host=f"file://{place}")
    return ReqifSource(connection, Settings(**settings))


def read(place: Path, stream: str, **asked: Any) -> tuple[list[dict[str, Any]], list[Rejection]]:
    reading = source(place).read(ReadRequest(stream, **asked))
    return pa.Table.from_batches(list(reading), reading.schema).to_pylist(), list(reading.rejections)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "weaknesses.reqif"
    path.write_text(document(), encoding="utf-8")
    return path


# -------------------------------------------------------------------------------------------------- streams


def test_streams_are_types_relations_and_the_hierarchy(file: Path) -> None:
    found = source(file)
    assert found.check().ok
    assert [one.name for one in found.discover()] == [
        "objects",
        "relations",
        "specifications",
        REQUIREMENTS,
        "objects:Heading",
        "relations:Refines",
        "specifications:Specification",
        "hierarchy",
    ]
    with pytest.raises(StreamUnknown) as told:
        found.describe("objects:Requirements")
    assert REQUIREMENTS in str(told.value.hint)


def test_attributes_are_columns_of_their_types(file: Path) -> None:
    schema = source(file).describe(REQUIREMENTS).schema
    assert schema.names == [
        "identifier", "type", "long_name", "description", "last_change",
        "ReqIF.ForeignID", "ReqIF.Text", "ReqIF.Text_xhtml", "Priority", "Effort", "Safety", "Due", "State", "Seen",
    ]  # fmt: skip
    rows, rejections = read(file, REQUIREMENTS)
    assert rejections == []
    assert len(rows) == 20
    first, weakness = rows[0], by_family()[0]
    assert first["identifier"] == f"cwe-{weakness.cwe_id}"
    assert first["last_change"] == dt.datetime(2026, 1, 1, 7, tzinfo=dt.UTC)
    described = " ".join(weakness.description.split())
    assert first["ReqIF.Text"] == f"{weakness.name}\nThe system shall avoid this: {described}"
    assert first["ReqIF.Text_xhtml"].startswith("<div><p>")
    assert "avoid <b>this</b>" in first["ReqIF.Text_xhtml"]
    assert (first["Priority"], first["Effort"], first["Safety"]) == (1, 0.25, True)
    assert (first["State"], first["Seen"]) == ("Approved", ["Draft"])
    assert rows[1]["State"] == "Draft", "the default of its definition"
    assert rows[6]["ReqIF.Text"] is None, "an object without values"


def test_defaults_can_be_left_out(file: Path) -> None:
    rows, _ = read(file, REQUIREMENTS, options={"defaults": False})
    assert rows[1]["State"] is None


def test_a_name_that_is_taken_gets_a_number(file: Path) -> None:
    assert source(file).describe("objects:Heading").schema.names[-1] == "identifier_2"


def test_relations_have_ends(file: Path) -> None:
    rows, _ = read(file, "relations")
    known = {row["identifier"] for row in read(file, "objects")[0]}
    assert rows
    assert all(row["source"] in known and row["target"] in known and row["type"] == "Refines" for row in rows)
    assert read(file, "relations:Refines")[0] == rows


def test_the_hierarchy_knows_parents_and_order(file: Path) -> None:
    rows = sorted(read(file, "hierarchy")[0], key=lambda row: row["sequence"])
    assert [row["object"] for row in rows] == [f"cwe-{one.cwe_id}" for one in by_family()[:20]]
    assert [(row["level"], row["position"]) for row in rows[:5]] == [(1, 0), (2, 0), (2, 1), (2, 2), (1, 1)]
    assert rows[1]["parent"] == rows[0]["identifier"]
    assert rows[1]["parent_object"] == rows[0]["object"]
    assert {row["specification"] for row in rows} == {"spec"}
    assert read(file, "specifications")[0][0]["long_name"] == "Weaknesses"


# -------------------------------------------------------------------------------------------------- quirks


@pytest.mark.parametrize(
    "style", [Style(prefix="reqif"), Style(xhtml="html"), Style(prefix="ns0", xhtml="reqif-xhtml")]
)
def test_prefixes_do_not_matter(tmp_path: Path, file: Path, style: Style) -> None:
    (tmp_path / "other.reqif").write_text(document(style=style), encoding="utf-8")
    for stream in (REQUIREMENTS, "relations", "hierarchy"):
        assert read(tmp_path / "other.reqif", stream) == read(file, stream)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_encodings_do_not_matter(tmp_path: Path, file: Path, encoding: str) -> None:
    text = document().replace('encoding="UTF-8"', 'encoding="UTF-16"' if encoding == "utf-16" else 'encoding="UTF-8"')
    (tmp_path / "other.reqif").write_text(text, encoding=encoding)
    assert read(tmp_path / "other.reqif", REQUIREMENTS) == read(file, REQUIREMENTS)


def test_an_archive_holds_documents(tmp_path: Path, file: Path) -> None:
    with zipfile.ZipFile(tmp_path / "all.reqifz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(file, "content/weaknesses.reqif")
        archive.writestr("content/picture.png", b"\x89PNG")
    assert read(tmp_path / "all.reqifz", REQUIREMENTS) == read(file, REQUIREMENTS)


def test_a_folder_is_read_as_a_whole_or_by_pattern(tmp_path: Path, file: Path) -> None:
    (tmp_path / "b.reqif").write_text(document(3), encoding="utf-8")
    assert len(read(tmp_path, "objects")[0]) == 23
    assert len(read(tmp_path, "objects", options={"file": "b*"})[0]) == 3
    assert len(source(tmp_path).discover()) == 8


def test_columns_keys_limits_and_cursors_pick_rows(file: Path) -> None:
    assert [list(row) for row in read(file, REQUIREMENTS, columns=("State", "identifier"), limit=1)[0]] == [
        ["State", "identifier"]
    ]
    key = f"cwe-{by_family()[4].cwe_id}"
    assert [row["identifier"] for row in read(file, REQUIREMENTS, keys=pa.table({"identifier": [key, "x"]}))[0]] == [
        key
    ]
    reading = source(file).read(ReadRequest(REQUIREMENTS, cursor=CursorRequest("last_change")))
    assert sum(batch.num_rows for batch in reading) == 20
    assert reading.position() == {"watermark": "2026-01-01 07:00:00.000000Z"}


def test_batches_are_bounded(file: Path) -> None:
    sizes = [batch.num_rows for batch in source(file, batch_rows=8).read(ReadRequest("objects"))]
    assert sum(sizes) == 20
    assert max(sizes) <= 8


def test_a_url_names_a_document(file: Path) -> None:
    found = ReqifSource(from_url(f"reqif://{file}"), Settings())
    assert found.describe("objects").key == ("identifier",)


# -------------------------------------------------------------------------------------------------- trouble


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (value("INTEGER", "Priority", "high"), "Priority"),
        (value("INTEGER", "Priority", str(2**63)), "bigint"),
        (value("BOOLEAN", "Safety", "maybe"), "no boolean"),
        (value("DATE", "Due", "soon"), "Due"),
        (value("ENUMERATION", "State", inner=labels("Lost")), "no value of an enumeration"),
        (value("ENUMERATION", "State", inner=labels("Draft", "Approved")), "2 values"),
    ],
)
def test_a_value_that_is_none_sets_its_object_aside(tmp_path: Path, values: str, reason: str) -> None:
    (tmp_path / "a.reqif").write_text(document(3, extra_objects=spec_object("bad", values)), encoding="utf-8")
    rows, [rejection] = read(tmp_path / "a.reqif", REQUIREMENTS)
    assert len(rows) == 3
    assert (rejection.rule, rejection.key["identifier"]) == ("reqif_value", "bad")
    assert reason in rejection.reason


def test_an_object_of_an_unknown_type_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "a.reqif").write_text(document(3, extra_objects=spec_object("odd", "", "gone")), encoding="utf-8")
    rows, [rejection] = read(tmp_path / "a.reqif", REQUIREMENTS)
    assert (len(rows), rejection.rule) == (3, "reqif_type")


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE REQ-IF [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
    '<REQ-IF xmlns="http://www.omg.org/spec/ReqIF/20110401/reqif.xsd">&b;</REQ-IF>'
)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (BOMB, Unsupported),
        (BOMB.replace('"aaaaaaaaaa"', 'SYSTEM "file:///etc/passwd"'), Unsupported),
        ("<html/>", SchemaConflict),
        ('<RIF xmlns="http://automotive-his.de/schema/rif"/>', SchemaConflict),
        ("no XML", SchemaConflict),
        ("", SchemaConflict),
        (document()[:2000], SchemaConflict),
        ("<REQ-IF>" + "<a>" * 300 + "</a>" * 300 + "</REQ-IF>", ResourceExhausted),
    ],
    ids=["entities", "external entity", "html", "RIF", "text", "empty", "cut off", "deep"],
)
def test_a_document_that_is_none_is_named(tmp_path: Path, text: str, error: type[WorkbenchError]) -> None:
    (tmp_path / "a.reqif").write_text(text, encoding="utf-8")
    with pytest.raises(error, match=r"a\.reqif"):
        source(tmp_path / "a.reqif").discover()


def test_one_element_is_capped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data_workbench.connectors.reqif.document._LARGEST", 10_000)
    huge = spec_object("huge", value("STRING", "ReqIF.ForeignID", "x" * 20_000))
    (tmp_path / "a.reqif").write_text(document(3, extra_objects=huge), encoding="utf-8")
    with pytest.raises(ResourceExhausted):
        read(tmp_path / "a.reqif", REQUIREMENTS)


def test_a_zip_bomb_is_stopped_by_what_comes_out_of_it(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.reqifz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.reqif", document(3).replace("<THE-HEADER/>", "<THE-HEADER/>" + " " * 5_000_000))
    connection = Connection(
        id="bomb", kind="workbench_reqif", host=f"file://{tmp_path}/bomb.reqifz", extra={"max_bytes": 100_000}
    )
    with pytest.raises(ResourceExhausted, match="larger than 100000 bytes"):
        ReqifSource(connection, Settings()).discover()


def test_archives_that_are_none_or_climb_out_are_named(tmp_path: Path) -> None:
    (tmp_path / "no.reqifz").write_bytes(b"PK no zip")
    with pytest.raises(SchemaConflict, match="no zip archive"):
        source(tmp_path / "no.reqifz").discover()
    with zipfile.ZipFile(tmp_path / "climbs.reqifz", "w") as archive:
        archive.writestr("../../evil.reqif", document(1))
    with pytest.raises(AccessDenied, match="leads out"):
        source(tmp_path / "climbs.reqifz").discover()
    with zipfile.ZipFile(tmp_path / "empty.reqifz", "w") as archive:
        archive.writestr("notes.txt", "nothing")
    with pytest.raises(StreamUnknown):
        source(tmp_path / "empty.reqifz").discover()


def test_places_outside_the_roots_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AccessDenied):
        source(tmp_path, file_roots="/elsewhere")
    with pytest.raises(UsageError, match="host is missing"):
        ReqifSource(Connection(id="c", kind="workbench_reqif"), Settings())
    (tmp_path / "a.reqif").write_text(document(1), encoding="utf-8")
    with pytest.raises(AccessDenied):
        read(tmp_path, "objects", options={"file": "../a.reqif"})
