"""What belongs to a database itself is set with the words that PostgreSQL takes for it."""

from __future__ import annotations

import pytest
from psycopg import sql

from data_workbench.backup.database_properties import members, statements


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("app, public", ["app", "public"]),
        ('"$user", public', ["$user", "public"]),
        ('"My ""Schema""",x', ['My "Schema"', "x"]),
        ('"a, b"', ["a, b"]),
        ("", [""]),
        ('""', [""]),
    ],
)
def test_a_list_of_names_is_taken_apart(value: str, wanted: list[str]) -> None:
    assert members(value) == wanted


def test_each_property_is_a_statement_of_its_own() -> None:
    told = {
        "settings": [
            [None, ["search_path=app, public", "app.secret=a'b=c", "work_mem=7MB"]],
            ["Röle", ["statement_timeout=5s"]],
        ],
        "rights": [[None, "TEMPORARY", False], ["Röle", "CONNECT", True]],
        "comment": "it's odd",
        "limit": 7,
    }
    made = [statement.as_string() for _, statement in statements(sql.Identifier("D b"), told, "own")]
    assert made == [
        """ALTER DATABASE "D b" SET "search_path" TO 'app', 'public'""",
        """ALTER DATABASE "D b" SET "app.secret" TO 'a''b=c'""",
        """ALTER DATABASE "D b" SET "work_mem" TO '7MB'""",
        """ALTER ROLE "Röle" IN DATABASE "D b" SET "statement_timeout" TO '5s'""",
        """REVOKE ALL ON DATABASE "D b" FROM PUBLIC""",
        """REVOKE ALL ON DATABASE "D b" FROM "own\"""",
        """GRANT TEMPORARY ON DATABASE "D b" TO PUBLIC""",
        """GRANT CONNECT ON DATABASE "D b" TO "Röle" WITH GRANT OPTION""",
        """COMMENT ON DATABASE "D b" IS 'it''s odd'""",
        """ALTER DATABASE "D b" CONNECTION LIMIT 7""",
    ]
    plain = {"settings": [], "rights": None, "comment": None, "limit": -1}
    assert list(statements(sql.Identifier("D b"), plain, "own")) == []
