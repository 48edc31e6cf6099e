"""Every file in tests/fixtures/bad_pipelines is refused, at its place and in words that name what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_workbench.errors import DefinitionError, UsageError
from data_workbench.language.definition import load_definition
from data_workbench.pipelines.checks import lint_paths, load_checked
from data_workbench.settings import Settings

FIXTURES = Path(__file__).parents[2] / "fixtures" / "bad_pipelines"

EXPECTED = {
    "aggregate_in_filter": (6, 26, "sum"),
    "alias_bomb": (5, 16, "values"),
    "alias_of_itself": (1, 14, "stands"),
    "alias_unknown": (1, 10, "*nowhere"),
    "ambiguous_destination": (7, 42, "several"),
    "ambiguous_input": (7, 5, "several"),
    "bad_contract_type": (3, 43, "nmber"),
    "bad_cron": (3, 11, "61 * * * *"),
    "bad_deadline": (4, 11, "soon"),
    "bad_deletes": (4, 100, "sources.rows.deletes"),
    "bad_duration": (4, 117, "5 minutes"),
    "bad_format": (6, 62, "destinations.out.format"),
    "bad_full_cron": (3, 19, "0 25 * * *"),
    "bad_indent": (5, 4, "indentation"),
    "bad_label": (6, 40, "My Row"),
    "bad_max_quarantined": (3, 18, "1 percent"),
    "bad_on_failure": (6, 54, "on_failure"),
    "bad_on_invalid": (3, 31, "contract.rows.on_invalid"),
    "bad_overlap": (4, 13, "stop"),
    "bad_param_default": (3, 38, "many"),
    "bad_param_type": (3, 20, "params.n.type"),
    "bad_param_value": (3, 49, "soon"),
    "bad_policy": (4, 106, "sources.rows.schema_policy"),
    "bad_property_name": (8, 42, "Full Name"),
    "bad_regex": (3, 45, "^[A-Z"),
    "bad_schedule_key": (3, 1, "schedule"),
    "bad_sql": (6, 34, "and"),
    "bad_sql_in_deletes": (4, 114, "expression:"),
    "bad_sql_in_where": (4, 105, "or"),
    "bad_sql_quote": (6, 26, "expression:"),
    "bad_write": (6, 31, "destinations.out.write"),
    "bare_column_in_take": (6, 51, "id"),
    "catchup_that_skips": (6, 13, "catchup"),
    "catchup_without_clock": (5, 10, "cron"),
    "catchup_without_partitions": (5, 10, "partitions"),
    "catchup_without_start": (5, 10, "begins"),
    "colon_in_text": (2, 18, "stands"),
    "column_gone_after_aggregate": (7, 26, "price"),
    "column_gone_after_rename": (7, 26, "name"),
    "column_gone_after_select": (7, 26, "price"),
    "column_twice": (6, 38, "id"),
    "compressed_twice": (6, 44, "inside"),
    "contract_for_nothing": (3, 12, "rowz"),
    "control_character": (2, 12, "U+0007"),
    "cycle": (7, 22, "cycle:"),
    "cycle_with_itself": (6, 22, "cycle:"),
    "decimal_without_digits": (6, 31, "decimal"),
    "deep_nesting": (2, 34, "nested"),
    "deletes_without_merge": (4, 91, "rows"),
    "duplicate_key": (5, 3, "rows"),
    "duplicate_step": (7, 12, "already"),
    "embed_and_vector": (6, 72, "collection"),
    "embed_on_table": (6, 46, "embed"),
    "empty": (1, 1, "empty"),
    "empty_verb": (6, 15, "steps[0].rename"),
    "file_cursor_without_changes": (4, 77, "changes"),
    "file_in_archive": (6, 44, "archives"),
    "file_merge_without_key": (6, 24, "write:"),
    "file_schedule_climbs": (3, 18, ".."),
    "file_schedule_of_nobody": (3, 18, "in/*.csv"),
    "file_schedule_too_often": (3, 59, "every"),
    "forbidden_function": (6, 30, "read_csv"),
    "forbidden_setting": (6, 30, "getenv"),
    "format_not_written": (6, 44, "XML"),
    "join_clash": (7, 41, "sides"),
    "key_count": (6, 115, "column"),
    "label_not_mapped": (6, 66, "Row"),
    "label_twice": (6, 73, "Row"),
    "level_without_rollup": (6, 58, "level"),
    "list_at_top": (1, 1, "holds"),
    "map_bad_type": (6, 81, "decimel"),
    "map_hidden_target": (6, 56, "_wb_cost"),
    "map_no_origin": (6, 48, "nowhere"),
    "map_two_lines_one_target": (6, 17, "two lines"),
    "map_two_origins": (6, 75, "both"),
    "map_unknown_column": (6, 68, "prise"),
    "map_unknown_in_expression": (6, 74, "prise"),
    "max_quarantined_of_warnings": (3, 37, "no row is set aside"),
    "max_quarantined_share": (3, 18, "120%"),
    "merge_key": (5, 10, "<<"),
    "merge_without_key": (6, 24, "write:"),
    "min_length_over_max": (3, 48, "min_length"),
    "min_of_other_kind": (3, 50, "number,"),
    "min_over_max": (3, 42, "more"),
    "missing_embed": (6, 24, "rows"),
    "name_with_capitals": (2, 11, "Bad-One"),
    "near_param": (5, 106, "$projectid"),
    "negative_length": (3, 48, "'contract.rows.columns.name.min_length'"),
    "no_aggregate_in_take": (6, 51, "price"),
    "no_destination": (1, 1, "destinations"),
    "no_shape": (6, 9, "destination"),
    "no_verb": (6, 6, "nothing"),
    "nul_escape": (2, 11, "surrogate"),
    "only_comment": (1, 1, "empty"),
    "open_bracket": (2, 10, "bracket"),
    "open_quote": (2, 11, "opened"),
    "own_tag": (2, 11, "!secret"),
    "param_default_not_allowed": (3, 51, "param"),
    "parse_json_path": (6, 50, "part.code"),
    "parse_makes_existing_column": (6, 44, "price"),
    "parse_two_ways": (6, 56, "regex and json"),
    "parse_unknown_unit": (6, 63, "kgg"),
    "parse_without_group": (6, 44, "named group"),
    "partitions_grain": (4, 21, "week"),
    "partitions_narrow_nothing": (4, 1, "$other"),
    "partitions_of_no_kind": (4, 1, "partitions"),
    "partitions_of_no_param": (4, 32, "begin"),
    "partitions_param_type": (4, 33, "since"),
    "partitions_replaced": (8, 3, "out"),
    "partitions_start_inside": (4, 46, "inside"),
    "partitions_with_one_end": (4, 37, "since"),
    "password_in_url": (4, 22, "password"),
    "path_climbs": (6, 44, "../../etc/passwd.csv"),
    "pattern_that_is_none_in_an_expression": (6, 47, "(?<=a)b"),
    "pivot_folds_nothing": (6, 62, "folds nothing"),
    "pivot_value_named_like_key": (6, 52, "id"),
    "python_bad_function": (6, 34, "function"),
    "python_bad_type": (6, 63, "intger"),
    "python_tag": (2, 11, "'tag:yaml.org,2002:python/object/apply:os.system':"),
    "random_function": (6, 30, "uuid"),
    "regex_lookahead": (3, 45, "a(?=b)"),
    "relationship_without_to": (6, 72, "to"),
    "rename_onto_existing": (6, 34, "clean"),
    "reserved_column": (6, 28, "_wb_op"),
    "resource_bad_iri": (9, 14, "no iri"),
    "resource_link_of_other_column": (13, 51, "{price}"),
    "resource_same_predicate": (12, 59, "price"),
    "resource_subject_without_column": (10, 16, "no column"),
    "resource_unknown_column": (12, 26, "nmae"),
    "resource_writes_nothing": (8, 5, "no column"),
    "rules_file_climbs": (6, 29, "leads out"),
    "rules_nowhere": (6, 15, "neither"),
    "rules_of_nobody": (6, 29, "none.rules.yaml"),
    "rules_unknown_column": (6, 53, "prise"),
    "schedule_of_bad_crons": (4, 32, "25"),
    "schedule_of_no_class": (4, 23, "airflow.timetables"),
    "schedule_of_no_partition": (4, 1, "partition"),
    "schedule_of_no_zone": (4, 41, "Berlim"),
    "schedule_too_often": (4, 12, "every"),
    "secret_in_url": (6, 53, "secret"),
    "short_cron": (3, 11, "* * *"),
    "sort_limit_zero": (6, 37, "limit"),
    "source_name_with_dash": (4, 3, "my-rows"),
    "sources_empty": (3, 1, "sources"),
    "sql_column_without_name": (6, 29, "no name"),
    "sql_key_not_selected": (6, 57, "name"),
    "sql_not_read": (7, 69, "does not read"),
    "sql_reads_file": (6, 43, "read_parquet"),
    "sql_star": (6, 28, "*"),
    "sql_two_statements": (6, 47, ";"),
    "sql_unknown_column": (6, 28, "prise"),
    "sql_unknown_table": (6, 28, "others"),
    "step_named_like_source": (6, 12, "rows"),
    "subquery": (6, 33, "select"),
    "surrogate_namespace": (6, 61, "things"),
    "tab": (4, 1, "indentation"),
    "text_at_top": (1, 1, "single"),
    "text_in_double_quotes": (6, 33, "draft"),
    "topic_of_no_param": (3, 47, "batch"),
    "topic_schedule": (3, 12, "orders"),
    "topic_too_seldom": (3, 47, "every"),
    "two_documents": (7, 1, "document"),
    "two_shapes": (6, 34, "destination"),
    "two_statements": (6, 35, "expression;"),
    "two_verbs": (6, 29, "select"),
    "undeclared_param": (4, 106, "$project"),
    "union_lacks_column": (7, 43, "lacks"),
    "unknown_column_in_aggregate": (6, 34, "nam"),
    "unknown_column_in_as_of": (6, 56, "att"),
    "unknown_column_in_block_scalar": (9, 13, "nmae"),
    "unknown_column_in_cast": (6, 24, "prise"),
    "unknown_column_in_contract": (3, 29, "nam"),
    "unknown_column_in_deduplicate": (6, 58, "whn"),
    "unknown_column_in_derive": (6, 41, "amount"),
    "unknown_column_in_embed": (6, 65, "body"),
    "unknown_column_in_filter": (6, 40, "nmae"),
    "unknown_column_in_having": (6, 66, "m"),
    "unknown_column_in_lookup": (6, 57, "nme"),
    "unknown_column_in_mask": (6, 32, "nam"),
    "unknown_column_in_nest": (6, 42, "tag"),
    "unknown_column_in_node_key": (6, 50, "row_id"),
    "unknown_column_in_payload": (6, 86, "nam"),
    "unknown_column_in_rename": (6, 26, "nam"),
    "unknown_column_in_select": (6, 30, "nmae"),
    "unknown_column_in_sort": (6, 27, "prise"),
    "unknown_column_in_table_key": (6, 43, "idd"),
    "unknown_column_in_unique": (3, 33, "nam"),
    "unknown_column_in_unnest": (6, 34, "tag"),
    "unknown_column_in_unpivot": (6, 42, "prise"),
    "unknown_column_in_versions": (6, 39, "att"),
    "unknown_column_in_window": (6, 29, "nam"),
    "unknown_file_option": (4, 70, "delimeter"),
    "unknown_format": (6, 44, "rows.docx"),
    "unknown_function": (6, 30, "uper"),
    "unknown_input": (6, 22, "rwos"),
    "unknown_join": (6, 28, "other"),
    "unknown_key": (4, 39, "colums"),
    "unknown_key_at_top": (3, 1, "ownr"),
    "unknown_model": (6, 78, "all-MiniLM"),
    "unknown_preset": (3, 11, "@hourli"),
    "unknown_scheme": (4, 22, "ftp"),
    "unknown_type": (6, 31, "intger"),
    "unknown_type_of_column": (4, 82, "nubmer"),
    "unknown_union": (6, 29, "others"),
    "unpivot_clash": (6, 49, "tags"),
    "used_before_defined": (6, 22, "comes"),
    "value_of_other_type": (3, 64, "two"),
    "version_missing": (1, 1, "version"),
    "version_two": (1, 10, "version"),
    "versions_clash": (6, 63, "name"),
    "window_function": (6, 30, "row_number"),
    "window_with_over": (6, 34, "OVER"),
    "window_without_function": (6, 47, "no other row"),
    "wrong_file_option": (4, 76, "skip"),
    "wrong_type_boolean": (3, 24, "params.p.required"),
    "wrong_type_list": (4, 25, "sources.rows.stream"),
    "wrong_type_text": (3, 8, "owner"),
    "zone_that_is_none": (6, 48, "Europe/Viena"),
}

_JARGON = ("pydantic", "Traceback", "Error", "ruamel", "sqlglot", "Input should", "<class")


@pytest.mark.parametrize("name", EXPECTED)
def test_a_wrong_file_is_refused_at_its_place(name: str) -> None:
    line, column, word = EXPECTED[name]
    path = FIXTURES / f"{name}.yaml"
    findings, _ = lint_paths([path])
    placed = [one for one in findings if (one.line, one.column) == (line, column)]
    assert placed, [str(one) for one in findings]
    assert word in placed[0].message
    assert str(placed[0]).startswith(f"{path}:{line}:{column}: ")


@pytest.mark.parametrize("name", EXPECTED)
def test_a_message_is_in_plain_words(name: str) -> None:
    findings, _ = lint_paths([FIXTURES / f"{name}.yaml"])
    text = " ".join(str(one) for one in findings)
    assert not [word for word in _JARGON if word in text]
    assert "hunter2" not in text


@pytest.mark.parametrize("name", EXPECTED)
def test_it_is_one_mistake_and_not_a_flood(name: str) -> None:
    findings, _ = lint_paths([FIXTURES / f"{name}.yaml"])
    assert len(findings) <= 2


def test_every_fixture_is_expected() -> None:
    assert {path.stem for path in FIXTURES.glob("*.yaml")} == set(EXPECTED)


def test_all_mistakes_of_a_file_come_at_once() -> None:
    findings, definitions = lint_paths([FIXTURES])
    assert len({one.file for one in findings}) == len(EXPECTED)
    assert [one.path for one in definitions]


def test_a_file_of_ten_megabytes_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "big.yaml"
    path.write_bytes(b"version: 1\n" + b"# filling\n" * 1_000_000)
    with pytest.raises(DefinitionError, match=r"bytes; at most 262144"):
        load_definition(path)


def test_bytes_that_are_no_utf8_are_placed(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes("version: 1\ndescription: Größe\n".encode("latin-1"))
    with pytest.raises(DefinitionError) as caught:
        load_definition(path)
    assert (caught.value.findings[0].line, caught.value.findings[0].column) == (2, 16)


def test_a_path_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no file or folder"):
        lint_paths([tmp_path / "absent.yaml"])
    with pytest.raises(UsageError, match="cannot read"):
        load_definition(tmp_path / "absent.yaml")


def test_a_folder_in_place_of_a_file_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        load_definition(tmp_path, settings=Settings())


def test_a_name_used_by_two_files_is_found_in_both(tmp_path: Path) -> None:
    good = (
        "version: 1\npipeline: same\nsources: {rows: {connection: c, stream: rows}}\n"
        "destinations: {out: {connection: p, table: t, key: id}}\n"
    )
    (tmp_path / "a.yaml").write_text(good)
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "b.yml").write_text(good)
    (tmp_path / "notes.txt").write_text("not read")
    findings, definitions = lint_paths([tmp_path])
    assert [(one.line, "too" in one.message) for one in findings] == [(2, True), (2, True)]
    assert len({one.file for one in findings}) == 2
    assert len(definitions) == 2


def test_load_checked_raises_what_lint_finds() -> None:
    with pytest.raises(DefinitionError) as caught:
        load_checked(FIXTURES / "unknown_column_in_filter.yaml")
    assert caught.value.exit_code == 2
    assert "nmae" in caught.value.message
