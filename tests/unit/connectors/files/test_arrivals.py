"""Files that arrive are told once, when nobody writes them any more, across restarts."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_workbench.connectors.connections import Connection, from_url
from data_workbench.connectors.files.arrivals import Arrivals
from data_workbench.errors import AccessDenied, WorkbenchError
from data_workbench.settings import Settings

SETTINGS = Settings()


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


@pytest.fixture
def files(tmp_path: Path) -> Connection:
    return from_url(f"file://{tmp_path}")


def test_a_file_arrives_once_it_is_the_same_in_two_looks(inbox: Path, files: Connection) -> None:
    arrivals = Arrivals("in/*.csv")
    assert arrivals.look(files, SETTINGS) == []
    (inbox / "a.csv").write_text("id\n1\n")
    assert arrivals.look(files, SETTINGS) == []
    (inbox / "a.csv").write_text("id\n1\n2\n")  # its writer was not done
    assert arrivals.look(files, SETTINGS) == []
    assert arrivals.look(files, SETTINGS) == ["in/a.csv"]
    assert arrivals.look(files, SETTINGS) == []


def test_a_changed_file_arrives_again_and_others_do_not(inbox: Path, files: Connection) -> None:
    arrivals = Arrivals("in/*.csv")
    for name in ("a", "b"):
        (inbox / f"{name}.csv").write_text("id\n")
    arrivals.look(files, SETTINGS)
    assert arrivals.look(files, SETTINGS) == ["in/a.csv", "in/b.csv"]
    (inbox / "b.csv").write_text("id\n7\n")
    (inbox / "c.txt").write_text("of another kind")
    arrivals.look(files, SETTINGS)
    assert arrivals.look(files, SETTINGS) == ["in/b.csv"]


def test_another_process_goes_on_where_the_last_one_ended(inbox: Path, files: Connection) -> None:
    first = Arrivals("in/*.csv")
    (inbox / "a.csv").write_text("id\n")
    first.look(files, SETTINGS)
    assert first.look(files, SETTINGS) == ["in/a.csv"]
    (inbox / "b.csv").write_text("id\n")
    second = Arrivals("in/*.csv", first.position())
    second.look(files, SETTINGS)
    assert second.look(files, SETTINGS) == ["in/b.csv"]


def test_a_file_that_went_and_came_back_arrives_again(inbox: Path, files: Connection) -> None:
    arrivals = Arrivals("in/a.csv")
    (inbox / "a.csv").write_text("id\n")
    arrivals.look(files, SETTINGS)
    assert arrivals.look(files, SETTINGS) == ["in/a.csv"]
    (inbox / "a.csv").rename(inbox / "done")
    assert arrivals.look(files, SETTINGS) == []
    (inbox / "done").rename(inbox / "a.csv")
    arrivals.look(files, SETTINGS)
    assert arrivals.look(files, SETTINGS) == ["in/a.csv"]


def test_hidden_files_are_of_a_writer_at_work(inbox: Path, files: Connection) -> None:
    arrivals = Arrivals("in/*")
    (inbox / ".a.csv.part").write_text("id\n")
    (inbox / "_lock").write_text("")
    arrivals.look(files, SETTINGS)
    assert arrivals.look(files, SETTINGS) == []


def test_a_path_that_leads_out_is_refused(files: Connection) -> None:
    with pytest.raises(AccessDenied, match="leads out"):
        Arrivals("../*.csv").look(files, SETTINGS)


def test_a_connection_of_another_kind_is_named() -> None:
    with pytest.raises(WorkbenchError, match="odras_postgres"):
        Arrivals("in/*.csv").look(Connection("odras_postgres", "postgres", host="db"), SETTINGS)
