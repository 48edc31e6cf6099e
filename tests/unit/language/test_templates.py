# ruff: noqa: E501  # lines of YAML in one piece, and places in them
"""Templates, defaults and environments: values go into the tree, mistakes are told where they stand."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest

from data_workbench.errors import DefinitionError
from data_workbench.language.definition import Definition, load_definition
from data_workbench.pipelines.checks import lint_paths, load_checked
from data_workbench.settings import Settings

COPY = """\
version: 1
template: copy_table
variables:
  table: {description: The table to copy}
  key: {type: list, default: [id]}
  schema: {default: copied}
pipeline:
  tags: [copy]
  sources:
    rows: {connection: pg, stream: {$var: table}, key: {$var: key}}
  steps: [{name: few, filter: id > 1}]
  destinations:
    out: {connection: pg, table: {$text: [{$var: schema}, ., {$var: table}]}, key: {$var: key}}
"""


class Site:
    """A folder with files, and what is made of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, name: str, text: str) -> Path:
        (self.folder / name).parent.mkdir(exist_ok=True)
        (self.folder / name).write_text(text, encoding="utf-8")
        return self.folder / name

    def settings(self, **changed: Any) -> Settings:
        return Settings(project=self.folder / "workbench.yaml", **changed)

    def load(self, text: str, **changed: Any) -> Definition:
        return load_checked(self.put("p.yaml", f"version: 1\npipeline: p\n{text}"), settings=self.settings(**changed))

    def mistakes(self, text: str | None = None, **changed: Any) -> list[str]:
        if text is not None:
            self.put("p.yaml", f"version: 1\npipeline: p\n{text}")
        findings, _ = lint_paths([self.folder], settings=self.settings(**changed))
        return [str(one).replace(f"{self.folder}/", "") for one in findings]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


# ------------------------------------------------------------------------------------------------------- templates


def test_a_template_gives_a_pipeline_and_its_own_keys_go_first(site: Site) -> None:
    site.put("copy_table.template.yaml", COPY)
    found = site.load(
        "use: {template: copy_table, with: {table: t}}\ntags: [mine]\nowner: me\nsources: {rows: {where: id > 5}}"
    )
    spec = found.spec
    assert (spec.sources["rows"].stream, spec.sources["rows"].key, spec.sources["rows"].where) == (
        "t",
        ["id"],
        "id > 5",
    )
    assert spec.destinations["out"].table == "copied.t"
    assert (spec.tags, spec.owner, spec.use) == (["mine"], "me", None)


def test_the_hash_is_that_of_the_pipeline_written_out(site: Site) -> None:
    site.put("copy_table.template.yaml", COPY)
    used = site.load("use: {template: copy_table, with: {table: t}}")
    written = site.load(
        "tags: [copy]\nsources: {rows: {connection: pg, stream: t, key: [id]}}\nsteps: [{name: few, filter: id > 1}]\n"
        "destinations: {out: {connection: pg, table: copied.t, key: [id]}}"
    )
    assert used.hash == written.hash
    site.put("copy_table.template.yaml", COPY.replace("id > 1", "id > 22"))
    assert site.load("use: {template: copy_table, with: {table: t}}").hash != used.hash


@pytest.mark.parametrize(
    "value", ["a: b", "x}, evil: {connection: pg", "{$var: schema}", "- list\n", "# comment", "'quoted'", "null", "1e3"]
)
def test_a_value_stays_one_text_whatever_stands_in_it(site: Site, value: str) -> None:
    site.put("copy_table.template.yaml", COPY)
    quoted = value.replace("'", "''").replace("\n", "\\n")
    found = site.load(f"use: {{template: copy_table, with: {{table: '{quoted}'}}}}")
    assert found.spec.sources["rows"].stream == value.replace("\n", "\\n")
    assert list(found.spec.sources) == ["rows"]


def test_a_template_begins_with_another_and_passes_its_variables_on(site: Site) -> None:
    site.put("shared/copy_table.template.yaml", COPY)
    site.put(
        "narrow.template.yaml",
        "version: 1\ntemplate: narrow\nvariables: {what: {}}\n"
        "use: {template: shared/copy_table, with: {table: {$var: what}, key: [code]}}\n"
        "pipeline: {sources: {rows: {columns: [code, id]}}}\n",
    )
    spec = site.load("use: {template: narrow, with: {what: things}}").spec
    assert (spec.sources["rows"].stream, spec.sources["rows"].columns) == ("things", ["code", "id"])
    assert spec.destinations["out"].key == ["code"]


@pytest.mark.parametrize(
    ("use", "told"),
    [
        ("{template: copy_tabel}", "p.yaml:3:17: no template 'copy_tabel' in the pipeline's folder (did you mean copy_table?)"),
        ("{template: ../copy_table}", "p.yaml:3:17: use: '../copy_table' is no name"),
        ("{template: copy_table}", "p.yaml:3:6: template 'copy_table' needs variable 'table' (The table to copy)"),
        ("{template: copy_table, with: {tabel: t}}", "p.yaml:3:36: template 'copy_table' has no variable 'tabel'"),
        ("{template: copy_table, with: {table: 5}}", "p.yaml:3:43: variable 'table' takes a text (copy_table.template.yaml:4:3)"),
        ("{template: copy_table, with: {table: t, key: id}}", "p.yaml:3:51: variable 'key' takes a list"),
        ("{tempalte: copy_table}", "p.yaml:3:7: use: unknown key 'tempalte'"),
        ("copy_table", "p.yaml:3:6: 'use' is 'copy_table'; it takes a mapping"),
    ],
)  # fmt: skip
def test_a_use_that_does_not_fit_is_told_where_it_stands(site: Site, use: str, told: str) -> None:
    site.put("copy_table.template.yaml", COPY)
    assert any(one.startswith(told) for one in site.mistakes(f"use: {use}")), site.mistakes(f"use: {use}")


def test_a_mistake_in_a_template_is_told_there_with_the_file_that_uses_it(site: Site) -> None:
    site.put("copy_table.template.yaml", COPY.replace("filter: id > 1", "fliter: id > 1"))
    [told] = site.mistakes("use: {template: copy_table, with: {table: t}}")
    assert told.startswith("copy_table.template.yaml:11:23: unknown key 'fliter' in steps[0], used by p.yaml:3:17")
    site.put("copy_table.template.yaml", COPY.replace("id > 1", "id >> 1 >"))
    [told] = site.mistakes("use: {template: copy_table, with: {table: t}}")
    assert told.startswith("copy_table.template.yaml:11:")
    assert "used by p.yaml:3:17" in told


def test_a_mistake_in_a_value_is_told_in_the_file_that_gives_it(site: Site) -> None:
    site.put("copy_table.template.yaml", COPY)
    [told, *_] = site.mistakes("use: {template: copy_table, with: {table: t, key: [id, 5]}}")
    assert told.startswith("p.yaml:3:56: 'sources.rows.key[1]' is 5")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("{$var: table}, key", "{$var: tabel}, key"), "10:43: no variable 'tabel' is declared (did you mean table?)"),
        (("template: copy_table", "template: other"), "2:11: the template 'other' stands in copy_table.template.yaml"),
        (("default: [id]", "default: id"), "5:30: default of 'key' is no list"),
        (("tags: [copy]", "pipeline: other"), "7:1: a template does not say 'pipeline'"),
        (("variables:", "varibles:"), "3:1: unknown key 'varibles'"),
    ],
)
def test_a_broken_template_is_told_without_any_use(site: Site, change: tuple[str, str], told: str) -> None:
    site.put("copy_table.template.yaml", COPY.replace(*change))
    assert f"copy_table.template.yaml:{told}" in site.mistakes()[0]


def test_a_template_that_never_ends_is_refused(site: Site) -> None:
    for name, other in (("a", "b"), ("b", "c"), ("c", "a")):
        site.put(
            f"{name}.template.yaml",
            f"version: 1\ntemplate: {name}\nuse: {{template: {other}}}\npipeline: {{tags: [x]}}\n",
        )
    [told] = site.mistakes("use: {template: a}")
    assert told.startswith("c.template.yaml:3:17: template 'a' never ends: a -> b -> c -> a")


def test_a_chain_of_templates_has_an_end(site: Site) -> None:
    for number in range(10):
        use = f"use: {{template: t{number + 1}}}\n" if number < 9 else ""
        site.put(f"t{number}.template.yaml", f"version: 1\ntemplate: t{number}\n{use}pipeline: {{tags: [x]}}\n")
    [told] = site.mistakes("use: {template: t0}")
    assert "too long a chain: t0 -> t1" in told


def test_a_template_that_grows_without_bounds_is_refused_before_it_fills_the_memory(site: Site) -> None:
    twice = ", ".join(["{$var: x}"] * 20)
    for number in range(8):
        use = f"use: {{template: t{number + 1}, with: {{x: [{twice}]}}}}\n" if number < 7 else ""
        site.put(
            f"t{number}.template.yaml",
            f"version: 1\ntemplate: t{number}\nvariables: {{x: {{type: list}}}}\n{use}pipeline: {{tags: {{$var: x}}}}\n",
        )
    began = time.process_time()
    [told] = site.mistakes("use: {template: t0, with: {x: [a]}}")
    assert "more than 20000 values come of the template" in told
    assert time.process_time() - began < 3


# ------------------------------------------------------------------------------------------- defaults, environments

BODY = """\
sources: {a: {stream: a}, b: {stream: b, connection: other, schema_policy: evolve}}
destinations: {x: {input: a, table: x, key: [id]}, y: {input: b, connection: files, file: y.csv}}
"""


def test_defaults_of_the_file_go_before_those_of_the_project(site: Site) -> None:
    site.put(
        "workbench.yaml",
        "version: 1\ndefaults: {owner: site, tags: [all], sources: {schema_policy: freeze, parallel: 2, connection: pg},"
        " destinations: {connection: pg}}\n",
    )
    spec = site.load(f"defaults: {{sources: {{parallel: 3, cursor: {{column: at}}}}}}\n{BODY}").spec
    a, b = spec.sources["a"], spec.sources["b"]
    assert (a.connection, a.schema_policy, a.parallel, a.cursor.column if a.cursor else None) == (
        "pg",
        "freeze",
        3,
        "at",
    )
    assert (b.connection, b.schema_policy, b.parallel) == ("other", "evolve", 3)
    assert (spec.destinations["x"].connection, spec.destinations["y"].connection) == ("pg", "files")
    assert (spec.owner, spec.tags, spec.defaults) == ("site", ["all"], None)


def test_mistakes_in_defaults_are_told_at_the_default(site: Site) -> None:
    [told, *_] = site.mistakes(f"defaults: {{sources: {{connection: pg, paralel: 3}}}}\n{BODY}")
    assert told.startswith("p.yaml:3:38: defaults: unknown key 'paralel' in sources")
    site.put("workbench.yaml", "version: 1\ndefaults: {sources: {connectoin: pg}}\n")
    assert "workbench.yaml:2:22: defaults: unknown key 'connectoin' in sources" in site.mistakes()[0]


def test_a_default_that_does_not_fit_a_source_is_told_with_the_pipeline(site: Site) -> None:
    site.put(
        "workbench.yaml",
        "version: 1\ndefaults: {sources: {where: nope (, connection: pg}, destinations: {connection: pg}}\n",
    )
    told = site.mistakes("sources: {a: {stream: a}}\ndestinations: {x: {table: x, key: [id]}}\n")
    assert told
    assert all(one.startswith("workbench.yaml:2:") and "used by p.yaml" in one for one in told)


ENVIRONMENTS = """\
schedule: '@daily'
owner: everybody
params: {size: {type: integer, default: 10}}
sources: {a: {connection: pg, stream: a, where: id < $size}}
destinations: {x: {connection: pg, table: x, key: [id]}}
environments:
  dev: {schedule: null, owner: ada, tags: [dev], params: {size: 3}}
  prod: {schedule: {dataset: 'pg:a'}}
"""


def test_an_environment_changes_schedule_owner_tags_and_values(site: Site) -> None:
    plain, dev, prod = (site.load(ENVIRONMENTS, environment=one) for one in ("", "dev", "prod"))
    assert (plain.spec.schedule, plain.spec.owner, plain.spec.params["size"].default) == ("@daily", "everybody", 10)
    assert (dev.spec.schedule, dev.spec.owner, dev.spec.tags, dev.spec.params["size"].default) == (
        None,
        "ada",
        ["dev"],
        3,
    )
    assert dev.spec.params["size"].type == "integer"
    assert prod.spec.schedule != "@daily"
    assert len({plain.hash, dev.hash, prod.hash}) == 3


def test_the_project_switches_schedules_off_and_a_pipeline_may_switch_its_own_on(site: Site) -> None:
    site.put(
        "workbench.yaml",
        "version: 1\nenvironments: {dev: {pipelines: {schedule: null}}, prod: {}}\n",
    )
    assert site.load(ENVIRONMENTS, environment="dev").spec.schedule is None
    other = ENVIRONMENTS.replace("dev: {schedule: null", "dev: {schedule: '@hourly'")
    assert site.load(other, environment="dev").spec.schedule == "@hourly"
    assert site.load(other, environment="prod").spec.owner == "everybody"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("size: 3", "size: many"), "p.yaml:9:65: param 'size' is 'many', not integer"),
        (("size: 3", "sise: 3"), "p.yaml:9:59: there is no param 'sise' to give a value (did you mean size?)"),
        (("schedule: null", "schedule: 61 * * * *"), "p.yaml:9:19: '61 * * * *' is no cron expression"),
        (("  dev:", "  dve:"), "p.yaml:9:3: {folder}/workbench.yaml has no environment 'dve' (known are dev, prod)"),
        (("owner: ada", "onwer: ada"), "p.yaml:9:25: unknown key 'onwer' in environments.dev"),
    ],
)
def test_mistakes_in_an_environment_are_told_whichever_is_on(site: Site, change: tuple[str, str], told: str) -> None:
    site.put("workbench.yaml", "version: 1\nenvironments: {dev: {}, prod: {}}\n")
    found = site.mistakes(ENVIRONMENTS.replace(*change))
    assert any(one.startswith(told.replace("{folder}/", "")) for one in found), found


def test_two_hundred_pipelines_of_one_template_are_read_in_time(site: Site) -> None:
    site.put("copy_table.template.yaml", COPY)
    site.put("workbench.yaml", "version: 1\ndefaults: {owner: site, sources: {schema_policy: freeze}}\n")
    settings = site.settings()
    files = [
        site.put(
            f"p{number}.yaml",
            f"version: 1\npipeline: p{number}\nuse: {{template: copy_table, with: {{table: t{number}}}}}\n",
        )
        for number in range(200)
    ]
    began = time.process_time()
    found = [load_definition(file, settings=settings).spec.owner for file in files]
    assert (set(found), time.process_time() - began < 2) == ({"site"}, True)


def test_places_are_those_of_the_files_also_after_a_quick_reading(site: Site) -> None:
    site.put("copy_table.template.yaml", COPY)
    found = site.load("use: {template: copy_table, with: {table: t}}")
    told = found.finding(("steps", 0, "filter"), "said")
    assert re.fullmatch(r".*/copy_table.template.yaml:11:31: said, used by .*/p.yaml:3:17", str(told))


def test_a_broken_project_file_breaks_its_pipelines_with_its_place(site: Site) -> None:
    site.put("workbench.yaml", "version: 1\ndefaluts: {}\n")
    with pytest.raises(DefinitionError, match=r"workbench\.yaml:2:1: unknown key 'defaluts'"):
        site.load(BODY)


def test_the_examples_of_the_page_fit_together() -> None:
    folder = Path(__file__).parents[2] / "fixtures" / "pipelines" / "reuse"
    for environment in ("", "dev", "prod"):
        settings = Settings(project=folder / "workbench.yaml", environment=environment)
        findings, [found] = lint_paths([folder], settings=settings)
        assert findings == []
        assert found.spec.schedule == (None if environment == "dev" else "@daily")
        assert found.spec.owner == ("whoever-tries" if environment == "dev" else "data-team")
        assert found.spec.sources["rows"].schema_policy == "freeze"
        assert found.spec.destinations["copy"].table == "copied.airports"
