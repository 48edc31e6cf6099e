"""Tests of pipelines pass where they should, and fail with the difference at its place."""

from __future__ import annotations

import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from data_workbench.errors import DefinitionError, UsageError
from data_workbench.pipelines.testing.files import load_cases
from data_workbench.pipelines.testing.running import Outcome, run_cases
from data_workbench.settings import Settings

PIPELINE = """\
version: 1
pipeline: people
params: {team: {type: text}}
sources:
  people:
    connection: odras_postgres
    stream: public.people
    key: [id]
    where: "$team is null or team = $team"
    deletes: {when: "state = 'gone'"}
steps:
  - {name: named, derive: {shout: "upper(name)"}}
  - {name: grown, filter: "age >= 18"}
  - name: housed
    lookup:
      connection: odras_postgres
      stream: public.houses
      on: {house: id}
      take: {street: street}
      missing: quarantine
contract:
  housed:
    columns:
      name: {required: true, min_length: 2}
      team: {references: {connection: odras_postgres, stream: public.teams, column: team}}
    unique: [[shout]]
destinations:
  out: {connection: odras_postgres, input: housed, table: public.people_out, key: [id]}
"""
HEAD = """\
version: 1
columns:
  people: {id: integer, name: text, age: integer, house: integer, team: text, state: text, pay: "decimal(10,2)"}
given:
  lookup:housed: [{id: 1, street: High Street}]
  reference:housed:team: [{team: red}]
tests:
"""


class Bench:
    """A folder with one pipeline and its tests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "people.yaml").write_text(PIPELINE, encoding="utf-8")

    def write(self, tests: str, head: str = HEAD) -> Path:
        path = self.folder / "people.test.yaml"
        path.write_text(head + textwrap.indent(textwrap.dedent(tests), "  "), encoding="utf-8")
        return path

    def run(self, tests: str, head: str = HEAD, settings: Settings | None = None) -> list[Outcome]:
        chosen = settings or Settings()
        [file] = load_cases([self.write(tests, head)], settings=chosen)
        return list(run_cases(file, settings=chosen))

    def told(self, tests: str, head: str = HEAD) -> list[str]:
        """Line, column and message of all differences."""
        return [f"{one.line}:{one.column}: {one.message}" for out in self.run(tests, head) for one in out.differences]

    def mistakes(self, tests: str, head: str = HEAD) -> list[str]:
        with pytest.raises(DefinitionError) as caught:
            self.run(tests, head)
        return [f"{one.line}:{one.column}: {one.message}" for one in caught.value.findings]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_rows_deletions_quarantine_and_counts_are_held_against_what_came_out(bench: Bench) -> None:
    outcomes = bench.run("""\
        - name: all of it
          given:
            people:
              - {id: 1, name: anna, age: 30, house: 1, team: red, pay: 2.5}
              - {id: 2, name: bo, age: 17, house: 1}
              - {id: 3, name: c, age: 40, house: 1}
              - {id: 4, state: gone}
              - {id: 5, name: eve, age: 20, house: 7}
              - {id: 6, name: fay, age: 20, house: 1, team: blue}
          expect:
            rows:
              named: [{id: 1}, {id: 2}, {id: 3}, {id: 5}, {id: 6}]
              out: [{id: 1, shout: ANNA, street: High Street, pay: "2.50"}]
            deleted: {out: [{id: 4}]}
            quarantined:
              - {at: housed, row: {id: 5}}
              - {at: housed, rule: min_length name, reason: at least 2, row: {id: 3}}
              - {at: housed, rule: references team, row: {team: blue}}
            counts: {grown: {in: 6, filtered: 1}, housed: {quarantined: 3}}
    """)
    assert [(one.name, one.passed, one.differences) for one in outcomes] == [("all of it", True, ())]


def test_a_difference_stands_at_the_value_that_was_expected(bench: Bench) -> None:
    assert bench.told("""\
        - name: wrong
          given: {people: [{id: 1, name: anna, age: 30, house: 1, pay: 2}, {id: 2, name: bob, age: 30, house: 1}]}
          expect:
            rows:
              out:
                - {id: 1, shout: ANNE, pay: 2.00}
                - {id: 7, shout: GUY, pay: 7}
            counts: {grown: {out: 3}}
    """) == [
        '13:28: out: shout is "ANNA", not "ANNE" (row {id: 1, pay: "2.00"})',
        '14:13: out: no row is {id: 7, shout: "GUY", pay: "7.00"}',
        '12:9: out: unexpected row {id: 2, shout: "BOB", pay: null}',
        "15:29: grown: out is 2, not 3",
    ]


def test_rows_that_are_set_aside_are_never_passed_over_in_silence(bench: Bench) -> None:
    told = bench.told("""\
        - name: one too short, and another rule was meant
          given: {people: [{id: 3, name: c, age: 40, house: 1}]}
          expect: {rows: {out: []}}
        - name: another rule
          given: {people: [{id: 3, name: c, age: 40, house: 1}]}
          expect: {quarantined: [{at: housed, rule: required name}]}
    """)
    assert len(told) == 3
    assert told[0].startswith("10:5: unexpected in the quarantine: housed {id: 3")
    assert told[1].startswith("13:28: no quarantined row is housed by required name; there are housed {id: 3")
    assert told[2].startswith("13:14: unexpected in the quarantine: housed {id: 3")


def test_a_loose_expectation_does_not_take_the_row_of_a_strict_one(bench: Bench) -> None:
    assert (
        bench.told("""\
        - name: two
          given: {people: [{id: 3, name: c, age: 40, house: 1}, {id: 4, name: d, age: 40, house: 1}]}
          expect: {quarantined: [{at: housed}, {at: housed, row: {id: 3}}]}
    """)
        == []
    )


def test_rows_are_counted_not_just_found(bench: Bench) -> None:
    assert bench.told("""\
        - name: twice
          given: {people: [{id: 1, name: anna, age: 3}, {id: 2, name: anna, age: 3}]}
          expect: {rows: {named: [{name: anna}]}}
    """) == ['10:21: named: unexpected row {name: "anna"}']


def test_an_expected_error_must_come_and_no_other(bench: Bench) -> None:
    (bench.folder / "people.yaml").write_text(PIPELINE.replace("unique: [[shout]]", "on_invalid: fail"))
    case = """\
        - name: fails
          given: {{people: [{{id: 3, name: {name}, age: 40, house: 1}}]}}
          expect: {expect}
    """
    good = "{error: {kind: ContractViolated, message: min_length name}}"
    assert bench.told(case.format(name="c", expect=good)) == []
    [told] = bench.told(case.format(name="cleo", expect=good))
    assert told == "10:14: the run ends without an error, not in ContractViolated"
    [told] = bench.told(case.format(name="c", expect="{error: {kind: TransformError}}"))
    assert told.startswith("10:28: the run ends in ContractViolated: rows of 'housed' break the contract")
    [told] = bench.told(case.format(name="c", expect="{rows: {out: []}}"))
    assert told.startswith("8:11: the run fails: ContractViolated")


def test_params_and_time_are_those_of_the_test(bench: Bench) -> None:
    derived = PIPELINE.replace('"upper(name)"', '"upper(name)", day: "cast(current_timestamp as date)"')
    (bench.folder / "people.yaml").write_text(derived, encoding="utf-8")
    assert (
        bench.told("""\
        - name: one team, one day
          params: {team: red}
          now: "2025-05-06T07:08:09Z"
          given: {people: [{id: 1, name: anna, age: 3, team: red}, {id: 2, name: bob, age: 3, team: blue}]}
          expect: {rows: {named: [{id: 1, day: "2025-05-06"}]}}
        - name: a param of the wrong type
          params: {team: 5}
          expect: {rows: {named: []}}
    """)
        == []
    )


def test_types_come_from_the_values_where_none_are_declared(bench: Bench) -> None:
    head = "version: 1\ncolumns:\n  people: {team: text, state: text, house: integer}\ntests:\n"
    assert (
        bench.told(
            """\
        - name: told by values
          given:
            people:
              - {id: 1, name: anna, age: 30, score: 1, marks: [1, 2], ok: true, about: {a: [1]}}
              - {id: 2, name: bob, age: 30, score: 2.5}
          expect:
            rows:
              named:
                - {id: 1, score: 1.0, marks: [1, 2], ok: true, about: {a: [1]}}
                - {id: 2, score: 2.5}
        """,
            head,
        )
        == []
    )


def test_rows_come_from_a_file_with_the_declared_types_and_its_broken_lines(bench: Bench) -> None:
    (bench.folder / "rows").mkdir()
    (bench.folder / "rows" / "people.csv").write_text(
        "id,name,age,house,team,state,pay\n1,anna,30,1,red,,2.5\n2,bob,30,1,,,1,surplus\n", encoding="utf-8"
    )
    assert (
        bench.told("""\
        - name: from a file
          given: {people: {file: rows/people.csv}}
          expect:
            rows: {out: [{id: 1, pay: "2.50"}]}
            quarantined: [{at: people}]
    """)
        == []
    )


@pytest.mark.parametrize(
    ("tests", "mistake"),
    [
        ("- {name: a, given: {peple: []}, expect: {rows: {out: []}}}", "8:23: no source is named 'peple'"),
        ("- {name: a, expect: {rows: {oud: []}}}", "8:31: no source, step or destination is named 'oud'"),
        ("- {name: a, expect: {counts: {out: {in: 1}}}}", "8:33: no source or step is named 'out'"),
        ("- {name: a, expect: {counts: {named: {inn: 1}}}}", "8:"),
        ("- {name: a, expect: {quarantined: [{at: out}]}}", "8:43: no source or step is named 'out'"),
        ("- {name: a, params: {time: 1}, expect: {rows: {out: []}}}", "8:24: no param is named 'time'"),
        ("- {name: a, now: noon, expect: {rows: {out: []}}}", "8:15: 'noon' is no time"),
        ("- {name: a, expect: {}}", "8:15: nothing is expected"),
        ("- {name: a, expects: {}}", "8:"),
        ("- {name: a, given: {people: [{id: x}]}, expect: {rows: {out: []}}}", "8:37: people: 'id' is 'x', which is"),
        ("- {name: a, given: {people: [{name: 5}]}, expect: {rows: {out: []}}}", "8:39: people: 'name' is '5', which"),
        ("- {name: a, given: {people: {file: ../x.csv}}, expect: {rows: {out: []}}}", "8:38: there is no file"),
        ("- {name: a, given: {people: {file: no.csv}}, expect: {rows: {out: []}}}", "8:38: there is no file 'no.csv'"),
        (
            "- {name: a, expect: {rows: {out: []}}}\n- {name: a, expect: {rows: {out: []}}}",
            "9:12: test 'a' is there twice",
        ),
    ],
)
def test_a_mistake_in_a_test_file_is_told_with_its_place(bench: Bench, tests: str, mistake: str) -> None:
    assert [one for one in bench.mistakes(tests) if one.startswith(mistake)], bench.mistakes(tests)


def test_unknown_types_mixed_values_and_a_missing_pipeline_are_told(bench: Bench) -> None:
    case = "- {name: a, given: {people: [{id: 1}, {id: one}]}, expect: {rows: {named: []}}}"
    bare = "version: 1\ntests:\n"
    assert "several types" in bench.mistakes(case, bare)[0]
    assert bench.mistakes(case, HEAD.replace("integer", "integr"))[0].startswith("3:16: people: column 'id': unknown")
    assert "there is no pipeline 'other.yaml'" in bench.mistakes(case, "version: 1\npipeline: other.yaml\ntests:\n")[0]
    assert "there is no pipeline '../x.yaml'" in bench.mistakes(case, "version: 1\npipeline: ../x.yaml\ntests:\n")[0]


def test_an_unknown_column_names_those_there_are(bench: Bench) -> None:
    [told] = bench.told("- {name: a, given: {people: [{id: 1}]}, expect: {rows: {named: [{idd: 1}]}}}")
    assert told == "8:73: named has no column 'idd' (did you mean id?)"


def test_files_are_found_from_folders_and_pipelines(bench: Bench) -> None:
    file = bench.write("- {name: a, expect: {rows: {out: []}}}")
    for path in (bench.folder, file, bench.folder / "people.yaml"):
        assert [one.path for one in load_cases([path], settings=Settings())] == [file]
    assert len(load_cases([bench.folder, file], settings=Settings())) == 1
    file.unlink()
    for path in (bench.folder, bench.folder / "people.yaml", bench.folder / "nothing"):
        with pytest.raises(UsageError):
            load_cases([path], settings=Settings())


def test_a_file_that_is_too_big_or_no_yaml_is_refused(bench: Bench) -> None:
    bench.write("- {name: a, expect: {rows: {out: []}}}")
    with pytest.raises(DefinitionError, match="more than 10 characters"):
        load_cases([bench.folder], settings=replace(Settings(), max_definition_bytes=10))
    (bench.folder / "people.test.yaml").write_text("tests: [", encoding="utf-8")
    with pytest.raises(DefinitionError, match=r"people\.test\.yaml:1:"):
        load_cases([bench.folder], settings=Settings())


ASKING = """\
version: 1
pipeline: people
sources: {people: {connection: odras_postgres, stream: public.people, columns: [id, town], key: [id]}}
steps:
  - name: located
    enrich:
      connection: places
      given: {code: town}
      rest: {path: "towns/{code}"}
      take: {city: address.name, people: {from: population, type: integer}}
      confidence: match.score
      on_unavailable: mark
  - {name: vectors, embed: {text: city, model: hashing-8}}
  - {name: few, select: [id, city, city_provenance, city_confidence, people]}
destinations:
  out: {connection: odras_postgres, input: few, table: public.located, key: [id]}
"""


def test_answers_of_the_outside_are_given(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    (tmp_path / "people.yaml").write_text(ASKING)
    tests = """\
    - name: everybody is somewhere
      given:
        people: [{id: 1, town: b}, {id: 2, town: x}, {id: 3, town: away}, {id: 4, town: odd}]
        enrich:located:
          - {code: b, city: Berlin, people: 7, confidence: 0.5}
          - {code: away, _answer: unavailable}
          - {code: odd, people: 1.5}
      expect:
        rows:
          out:
            - {id: 1, city: Berlin, city_provenance: "places:towns/{code}", city_confidence: 0.5, people: 7}
            - {id: 2, city: null, city_provenance: nothing, city_confidence: null, people: null}
            - {id: 3, city: null, city_provenance: unavailable, city_confidence: null, people: null}
        quarantined: [{at: located, rule: enrich, reason: "which is no int32"}]
    """
    assert bench.told(tests, "version: 1\ntests:\n") == []
