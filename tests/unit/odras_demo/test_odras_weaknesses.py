from __future__ import annotations

from odras_demo.seed.wording import demands, documents, pack, security_demands
from odras_demo.weaknesses import by_family, catalogue, entries


def test_a_cell_is_split_into_its_entries_and_their_fields() -> None:
    cell = "::PHASE:Build:DESCRIPTION:Use std::string: it counts.::PHASE:Test:DESCRIPTION:Run it.::"
    assert list(entries(cell)) == [
        {"PHASE": "Build", "DESCRIPTION": "Use std::string: it counts."},
        {"PHASE": "Test", "DESCRIPTION": "Run it."},
    ]


def test_a_key_met_twice_in_an_entry_keeps_both_values() -> None:
    assert list(entries("::SCOPE:Integrity:SCOPE:Availability:IMPACT:Modify Memory::")) == [
        {"SCOPE": "Integrity, Availability", "IMPACT": "Modify Memory"}
    ]


def test_an_empty_cell_has_no_entries() -> None:
    assert list(entries("")) == []


def test_the_catalogue_holds_963_weaknesses_with_their_words() -> None:
    weaknesses = catalogue()
    assert len(weaknesses) == len({weakness.cwe_id for weakness in weaknesses}) == 963
    injection = next(weakness for weakness in weaknesses if weakness.cwe_id == 89)
    assert injection.parents == (943,)
    assert any("prepared statements" in entry["DESCRIPTION"] for entry in injection.mitigations)


def test_a_family_walk_meets_every_live_weakness_once_and_parents_first() -> None:
    order = [weakness.cwe_id for weakness in by_family()]
    assert len(order) == len(set(order)) == sum(not weakness.is_deprecated for weakness in catalogue())
    place = {number: position for position, number in enumerate(order)}
    for weakness in by_family():
        for parent in weakness.parents[:1]:
            assert place[parent] < place[weakness.cwe_id]


def test_packing_loses_no_word() -> None:
    text = "One sentence. Another one! And a third? " * 40
    pieces = list(pack(text, length=100))
    assert " ".join(pieces) == text.strip()
    assert max(map(len, pieces)) <= 130


def test_every_weakness_demands_something_and_nothing_twice() -> None:
    for weakness in by_family():
        found = demands(weakness)
        assert found
        assert len(found) == len(set(found))
        assert all(" shall " in sentence for sentence in found)
    assert len(security_demands()) > 2000


def test_forty_documents_hold_the_whole_catalogue_in_about_five_thousand_passages() -> None:
    parts = documents(40)
    assert {passage.cwe_id for part in parts for passage in part} == {weakness.cwe_id for weakness in catalogue()}
    assert 4500 < sum(map(len, parts)) < 6000
