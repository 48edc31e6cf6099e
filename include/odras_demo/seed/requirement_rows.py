"""The rows that requirements become: themselves, limits, notes, history, and copies in another project."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

from odras_demo.seed.organisation import PROJECTS, project_id, user_id
from odras_demo.seed.recipe import BEGIN, Recipe, Rows
from odras_demo.seed.requirements import (
    BLOCK,
    Requirement,
    author,
    owner_project,
    priority,
    requirements,
    threshold,
    verification_method,
)

IMPORTED = 6

REQUIREMENT_COLUMNS = (
    "requirement_id", "project_id", "requirement_identifier", "requirement_title", "requirement_text",
    "requirement_rationale", "requirement_type", "category", "priority", "state", "is_immutable",
    "source_requirement_id",
    "source_project_id", "source_document_id", "source_section", "parent_requirement_id", "derived_from_requirement_id",
    "verification_method", "verification_status", "is_published", "published_at", "published_by", "tags", "metadata",
    "created_by", "created_at", "updated_by", "updated_at", "version", "extraction_confidence", "extraction_method",
)  # fmt: skip
_CONSTRAINT_COLUMNS = (
    "constraint_id", "requirement_id", "constraint_type", "constraint_name", "constraint_description", "value_type",
    "numeric_value", "numeric_unit", "range_min", "range_max", "range_unit", "text_value", "enumeration_values",
    "equation_expression", "priority", "created_by", "created_at", "updated_at",
)  # fmt: skip
_NOTES = (
    ("clarification", "Which operating modes does this cover?"),
    ("issue", "The verification environment for this is not agreed yet."),
    ("verification", "Evidence is attached to the last review."),
    ("change_request", "Please align the wording with the parent requirement."),
    ("review", "Read in the monthly review, no finding."),
)


def tables(recipe: Recipe) -> Iterator[Rows]:
    """Everything in the requirement tables that is sound."""
    yield Rows("requirements_enhanced", REQUIREMENT_COLUMNS, (_row(recipe, item) for item in requirements(recipe)))
    copies = [tuple(published_copy(recipe, position).values()) for position in range(IMPORTED)]
    yield Rows("requirements_enhanced", REQUIREMENT_COLUMNS, copies)
    yield Rows("requirements_constraints", _CONSTRAINT_COLUMNS, _constraints(recipe))
    yield Rows(
        "requirements_notes",
        (
            "note_id",
            "requirement_id",
            "note_text",
            "note_type",
            "is_resolved",
            "created_by",
            "created_at",
            "updated_at",
        ),
        _notes(recipe),
    )
    yield Rows(
        "requirements_history",
        ("history_id", "requirement_id", "change_type", "change_description", "field_name", "old_value", "new_value",
         "changed_by", "changed_at", "version_before", "version_after"),
        _history(recipe),
    )  # fmt: skip
    yield Rows(
        "requirements_extraction_config",
        (
            "config_id",
            "project_id",
            "config_name",
            "description",
            "is_default",
            "created_by",
            "created_at",
            "updated_at",
        ),
        _extraction_configs(recipe),
    )


def _row(recipe: Recipe, item: Requirement) -> tuple[object, ...]:
    security = item.theme is None
    return (
        item.requirement_id, owner_project(recipe, item), item.identifier, item.title, item.text,
        "A weakness listed by MITRE; see the source document." if security else "Derived from the operational concept.",
        item.kind, "security" if security else "aircraft", priority(recipe, item), item.state, False, None, None,
        item.document, item.section, item.parent, item.derived_from, verification_method(recipe, item),
        "passed" if item.is_published else "not_started", item.is_published, item.updated
        if item.is_published else None,
        user_id(recipe, "owner") if item.is_published else None, json.dumps(["cwe" if security else "uas"]),
        json.dumps({"cwe_id": int(item.section[4:])} if item.section else {"theme": item.title}), author(recipe, item),
        item.created, author(recipe, item), item.updated, item.version, 0.85 if security else None,
        "pattern" if security else "manual",
    )  # fmt: skip


def published_copy(recipe: Recipe, position: int) -> dict[str, object]:
    """The row of an immutable copy in Mission Analysis; its identifier is led by the source project's name."""
    first_block = requirements(Recipe(random_seed=recipe.random_seed))
    item = next(item for item in first_block if item.project.key == "se" and item.position == position)
    return dict(zip(REQUIREMENT_COLUMNS, _row(recipe, item), strict=True)) | {
        "requirement_id": recipe.uid("imported", position),
        "project_id": project_id(recipe, "analysis"),
        "requirement_identifier": f"{item.project.name}.{item.identifier}",
        "state": "imported",
        "is_immutable": True,
        "source_requirement_id": item.requirement_id,
        "source_project_id": project_id(recipe, "se"),
        "parent_requirement_id": None,
        "derived_from_requirement_id": None,
        "is_published": False,
        "published_at": None,
        "published_by": None,
    }


def _constraints(recipe: Recipe) -> Iterator[tuple[object, ...]]:
    for item in requirements(recipe):
        if item.theme is not None:
            yield from _limits(recipe, item)
        elif item.position % 7 == 0:
            yield _constraint(
                recipe, item, "interface", "Applicable modes", "Holds in the named modes only", "enumeration",
                enumeration_values=json.dumps(["operational", "maintenance", "degraded"][: 1 + item.position % 3]),
            )  # fmt: skip


def _limits(recipe: Recipe, item: Requirement) -> Iterator[tuple[object, ...]]:
    theme = item.theme
    assert theme is not None
    least = threshold(recipe, item.project, item.position // BLOCK, theme)
    yield _constraint(
        recipe, item, theme.kind, f"{theme.name} threshold", f"{theme.name} that must be reached", "numeric",
        numeric_value=least, numeric_unit=theme.unit,
    )  # fmt: skip
    yield _constraint(
        recipe, item, "objective", f"{theme.name} objective", f"{theme.name} that is wished for", "numeric",
        numeric_value=theme.objective, numeric_unit=theme.unit,
    )  # fmt: skip
    if theme.name == "Wind":
        yield _constraint(
            recipe, item, "environmental", "Gusts", "Gusts during the test", "range", range_min=0,
            range_max=least * 1.5,
            range_unit=theme.unit,
        )  # fmt: skip
    if theme.name == "Unit cost":
        yield _constraint(
            recipe, item, "equation", "Learning curve", "How cost falls with quantity", "equation",
            equation_expression="cost(n) = cost(1) * n ^ (ln(0.9) / ln(2))",
        )  # fmt: skip


def _constraint(
    recipe: Recipe, item: Requirement, kind: str, name: str, meaning: str, value_type: str, **values: object
) -> tuple[object, ...]:
    row: dict[str, object] = dict.fromkeys(_CONSTRAINT_COLUMNS)
    row |= {
        "constraint_id": recipe.uid("constraint", f"{item.requirement_id}:{name}"),
        "requirement_id": item.requirement_id, "constraint_type": kind, "constraint_name": name,
        "constraint_description": meaning, "value_type": value_type, "priority": priority(recipe, item),
        "created_by": author(recipe, item), "created_at": item.created, "updated_at": item.created,
    }  # fmt: skip
    return tuple((row | values).values())


def _notes(recipe: Recipe) -> Iterator[tuple[object, ...]]:
    for item in requirements(recipe):
        if item.position % 5 == 0:
            kind, text = _NOTES[recipe.draw("note", item.requirement_id, len(_NOTES))]
            key, by, when = recipe.uid("note", item.requirement_id), author(recipe, item), item.created
            yield key, item.requirement_id, text, kind, kind == "review", by, when, when


def _history(recipe: Recipe) -> Iterator[tuple[object, ...]]:
    for item in requirements(recipe):
        yield _entry(recipe, item, "created", 1)
        for version in range(2, item.version + 1):
            old = f"{item.text} (wording {version - 1})"
            new = item.text if version == item.version else f"{item.text} (wording {version})"
            yield _entry(recipe, item, "text_updated", version, old=old, new=new)


def _entry(
    recipe: Recipe, item: Requirement, change: str, version: int, *, old: str | None = None, new: str | None = None
) -> tuple[object, ...]:
    told = "Requirement created" if new is None else "Requirement text changed"
    return (
        recipe.uid("history", f"{item.requirement_id}:{version}"), item.requirement_id, change, told,
        "requirement_text" if new else None, old, new, author(recipe, item), item.created + timedelta(days=version - 1),
        version - 1, version,
    )  # fmt: skip


def _extraction_configs(recipe: Recipe) -> Iterator[tuple[object, ...]]:
    for project in PROJECTS:
        yield (
            recipe.uid("extraction", project.key), project_id(recipe, project.key), "Shall statements",
            "Finds shall-sentences with their limits", True, user_id(recipe, "owner"), BEGIN, BEGIN,
        )  # fmt: skip
