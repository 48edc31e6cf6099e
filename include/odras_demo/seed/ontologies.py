"""Three ontologies with individuals, mappings, microtheories and competency questions; configurations drawn from them.

The graphs themselves live in an RDF store; here is what PostgreSQL says about them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from odras_demo.seed.organisation import project_id, tenant_id, user_id
from odras_demo.seed.recipe import BEGIN, Recipe, Rows, moment
from odras_demo.weaknesses import by_family

INDIVIDUALS_PER_SIZE = 90


@dataclass(frozen=True)
class Ontology:
    """One registered graph; the demo fills its first class with individuals."""

    key: str
    project: str
    label: str
    classes: tuple[str, ...]


ONTOLOGIES = (
    Ontology("core", "foundation", "Core terms", ("Weakness", "Mitigation", "Consequence")),
    Ontology("aircraft", "se", "Aircraft", ("Component", "Interface", "Function", "Process")),
    Ontology("structures", "structures", "Airframe structures", ("Part", "Material", "LoadCase")),
)

_PARTS = ("Wing spar", "Tail boom", "Battery tray", "Flight computer", "Data link", "Servo", "Motor", "Pitot probe")
_QUESTIONS = (
    (
        "Which components lack an interface?",
        "SELECT ?c WHERE { ?c a :Component . FILTER NOT EXISTS { ?c :presents ?i } }",
    ),
    (
        "Which weaknesses have no mitigation?",
        "SELECT ?w WHERE { ?w a :Weakness . FILTER NOT EXISTS { ?w :mitigatedBy ?m } }",
    ),
)


def graph_iri(recipe: Recipe, ontology: Ontology) -> str:
    """Name of the graph, in the shape ODRAS gives it."""
    project = project_id(recipe, ontology.project)
    return f"https://uas.example.mil/uas/{ontology.project}/{project}/ontologies/{ontology.key}"


def table_id(recipe: Recipe, ontology: Ontology) -> UUID:
    """Identifier of the individuals' table of an ontology."""
    return recipe.uid("individual_table", ontology.key)


def instance_uri(recipe: Recipe, ontology: Ontology, name: str, number: int) -> str:
    """`<graph>#<name>_<8 hex>`."""
    suffix = recipe.uid("suffix", f"{ontology.key}:{number}").hex[:8]
    return f"{graph_iri(recipe, ontology)}#{name.replace(' ', '_')}_{suffix}"


def tables(recipe: Recipe) -> Iterator[Rows]:
    """Registry, individuals, mappings, microtheories, questions, configurations."""
    yield from _registry(recipe)
    yield from _mappings(recipe)
    yield from _theories(recipe)
    yield from _configurations(recipe)


def _registry(recipe: Recipe) -> Iterator[Rows]:
    tenant, owner = tenant_id(recipe), user_id(recipe, "owner")
    yield Rows(
        "ontologies_registry",
        ("id", "tenant_id", "project_id", "graph_iri", "label", "is_reference", "created_at", "updated_at"),
        [(recipe.uid("ontology", o.key), tenant, project_id(recipe, o.project), graph_iri(recipe, o), o.label,
          o.key == "core", BEGIN, BEGIN) for o in ONTOLOGIES],
    )  # fmt: skip
    yield Rows(
        "individual_tables_config",
        ("table_id", "project_id", "graph_iri", "ontology_label", "ontology_structure", "created_by", "created_at",
         "updated_at"),
        [(table_id(recipe, o), project_id(recipe, o.project), graph_iri(recipe, o), o.label,
          json.dumps({"classes": o.classes}), owner, BEGIN, BEGIN) for o in ONTOLOGIES],
    )  # fmt: skip
    yield Rows(
        "individual_instances",
        ("instance_id", "table_id", "class_name", "instance_name", "instance_uri", "properties", "validation_status",
         "created_by", "created_at", "updated_at"),
        _individuals(recipe),
    )  # fmt: skip


def _individuals(recipe: Recipe) -> Iterator[tuple[object, ...]]:
    owner, total = user_id(recipe, "owner"), INDIVIDUALS_PER_SIZE * recipe.size
    for number in range(total):
        ontology = ONTOLOGIES[number % len(ONTOLOGIES)]
        name, properties = _individual(ontology, number // len(ONTOLOGIES))
        when = moment(number, total)
        yield (
            recipe.uid("individual", f"{ontology.key}:{number}"), table_id(recipe, ontology), ontology.classes[0], name,
            instance_uri(recipe, ontology, name, number), json.dumps(properties), "valid", owner, when, when,
        )  # fmt: skip


def _individual(ontology: Ontology, number: int) -> tuple[str, dict[str, object]]:
    if ontology.key == "core":
        family = by_family()
        lap, place = divmod(number, len(family))
        weakness = family[place]
        name = f"CWE-{weakness.cwe_id}" + (f" edition {lap + 1}" if lap else "")
        return name, {"label": weakness.name, "abstraction": weakness.abstraction}
    part = _PARTS[number % len(_PARTS)]
    return f"{part} {number + 1}", {
        "partNumber": f"{ontology.key[:3].upper()}-{number + 1:05d}",
        "massKg": 0.2 + number % 50 / 10,
    }


def _mappings(recipe: Recipe) -> Iterator[Rows]:
    owner, aircraft = user_id(recipe, "owner"), ONTOLOGIES[1]
    yield Rows(
        "data_mapping_configs",
        ("mapping_id", "table_id", "mapping_name", "source_format", "target_class", "field_mappings", "created_by",
         "created_at", "updated_at"),
        [(recipe.uid("mapping", "parts"), table_id(recipe, aircraft), "Parts list", "csv", "Component",
          json.dumps({"part_no": "partNumber", "mass": "massKg"}), owner, BEGIN, BEGIN)],
    )  # fmt: skip
    yield Rows(
        "individual_import_history",
        ("import_id", "table_id", "mapping_id", "import_type", "source_info", "records_processed", "records_successful",
         "import_status", "created_by", "created_at"),
        [(recipe.uid("import", "parts"), table_id(recipe, aircraft), recipe.uid("mapping", "parts"), "csv",
          json.dumps({"file": "parts.csv"}), 30, 30, "completed", owner, BEGIN)],
    )  # fmt: skip
    yield Rows(
        "property_mappings",
        ("mapping_id", "project_id", "graph_iri", "class_name", "old_property_name", "new_property_name", "change_type",
         "created_at", "created_by"),
        [(recipe.uid("property", "mass"), project_id(recipe, "se"), graph_iri(recipe, aircraft), "Component", "mass",
          "massKg", "renamed", BEGIN, owner)],
    )  # fmt: skip


def _theories(recipe: Recipe) -> Iterator[Rows]:
    owner = user_id(recipe, "owner")

    def iri(ontology: Ontology) -> str:
        return f"http://localhost:8000/mt/{project_id(recipe, ontology.project)}/baseline"

    yield Rows(
        "microtheories",
        ("id", "project_id", "label", "description", "iri", "is_default", "created_by", "created_at", "updated_at"),
        [(recipe.uid("microtheory", o.key), project_id(recipe, o.project), "Baseline",
         f"What holds by default in {o.label}",
          iri(o), True, owner, BEGIN, BEGIN) for o in ONTOLOGIES],
    )  # fmt: skip
    yield Rows(
        "mt_ontology_dependencies",
        ("id", "mt_id", "ontology_graph_iri", "referenced_element_iri", "element_type", "first_detected_at"),
        [(recipe.uid("dependency", f"{o.key}:{name}"), recipe.uid("microtheory", o.key), graph_iri(recipe, o),
          f"{graph_iri(recipe, o)}#{name}", "Class", BEGIN) for o in ONTOLOGIES for name in o.classes],
    )  # fmt: skip
    asked = [(o, text, sparql) for o in ONTOLOGIES[:2] for text, sparql in _QUESTIONS]
    yield Rows(
        "cqs",
        ("id", "project_id", "cq_name", "problem_text", "sparql_text", "mt_iri_default", "contract_json", "status",
         "created_by", "created_at", "updated_at"),
        [(_question(recipe, o, q), project_id(recipe, o.project), q, q, sparql, iri(o), json.dumps({"min_rows": 1}),
         "active",
          owner, BEGIN, BEGIN) for o, q, sparql in asked],
    )  # fmt: skip
    yield Rows(
        "cq_runs",
        ("id", "cq_id", "mt_iri", "pass", "reason", "row_count", "latency_ms", "executed_by", "created_at"),
        [(recipe.uid("cq_run", f"{o.key}:{q}:{run}"), _question(recipe, o, q), iri(o), run % 4 != 3,
          "expected rows found" if run % 4 != 3 else "no rows", 0 if run % 4 == 3 else 5 + run, 12 + run, owner,
          moment(run, 20)) for o, q, _ in asked for run in range(20)],
    )  # fmt: skip


def _question(recipe: Recipe, ontology: Ontology, text: str) -> UUID:
    return recipe.uid("competency_question", f"{ontology.key}:{text}")


def _configurations(recipe: Recipe) -> Iterator[Rows]:
    """Two candidate architectures, one by the assistant, each a small chain of parts."""
    owner, graph = user_id(recipe, "owner"), graph_iri(recipe, ONTOLOGIES[1])
    made = [(str(recipe.uid("configuration", n)), n) for n in range(2)]
    yield Rows(
        "configurations",
        ("config_id", "project_id", "name", "ontology_graph", "structure", "das_metadata", "created_by", "created_at",
         "modified_at"),
        [(key, project_id(recipe, "se"), f"Candidate {n + 1}", graph, json.dumps({"root": f"{key[:8]}-0"}),
          json.dumps({"confidence": 0.82} if n else {}), owner, BEGIN, BEGIN) for key, n in made],
    )  # fmt: skip
    yield Rows(
        "configuration_nodes",
        ("node_id", "config_id", "node_type", "label"),
        [(f"{key[:8]}-{n}", key, "Component", part) for key, _ in made for n, part in enumerate(_PARTS)],
    )
    yield Rows(
        "configuration_edges",
        ("edge_id", "config_id", "source_id", "target_id", "edge_type", "label"),
        [(f"{key[:8]}-{n}-{n + 1}", key, f"{key[:8]}-{n}", f"{key[:8]}-{n + 1}", "connects", "connects")
         for key, _ in made for n in range(len(_PARTS) - 1)],
    )  # fmt: skip
