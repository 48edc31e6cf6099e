"""Tenants, people and the lattice of six projects: who owns the knowledge and who listens to whom."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from odras_demo.seed.recipe import BEGIN, SYSTEM_TENANT, Recipe, Rows


@dataclass(frozen=True)
class Project:
    """One project of the lattice; `level` grows with detail, a parent never lies deeper than its child."""

    key: str
    name: str
    level: int
    parent: str | None
    domain: str
    publication: str
    purpose: str


PROJECTS = (
    Project("foundation", "Foundation Ontology", 0, None, "foundation", "published",
    "Terms that every project shares."),
    Project("se", "Systems Engineering", 1, "foundation", "systems-engineering", "published",
            "What the uncrewed aircraft has to do and how that is shown."),
    Project("cost", "Programme Cost", 1, "foundation", "cost", "review", "What it may cost to buy and to keep."),
    Project("structures", "Airframe Structures", 2, "se", "structures", "draft", "Loads, materials and margins."),
    Project("cost_model", "Unit Cost Model", 2, "cost", "cost", "draft", "The estimate behind the unit cost."),
    Project("analysis", "Mission Analysis", 3, "structures", "analysis", "draft",
    "Whether the design meets the mission."),
)  # fmt: skip

USERS = (
    ("admin", "Demo Administrator", True),
    ("das_service", "Assistant Service Account", False),
    ("owner", "Olga Owner", False),
    ("editor", "Edgar Editor", False),
    ("viewer", "Vera Viewer", False),
)

_ROLES = (("owner", "owner"), ("editor", "editor"), ("viewer", "viewer"), ("das_service", "editor"))

_COUSINS = (
    ("structures", "cost_model", "coordinates_with", "Material choice moves the unit cost."),
    ("analysis", "cost_model", "depends_on", "A trade-off needs the current estimate."),
    ("cost", "se", "coordinates_with", "Budgets follow the approved requirements."),
)

_SUBSCRIPTIONS = (
    ("se", "ontology.published", "foundation"),
    ("structures", "requirements.approved", "se"),
    ("cost_model", "constraints.defined", "cost"),
    ("cost_model", "materials.cost_updated", "structures"),
    ("analysis", "fea.analysis_complete", "structures"),
    ("analysis", "loads.calculated", "structures"),
    ("cost", "costs.estimated", "cost_model"),
    ("se", "analysis.complete", "analysis"),
    ("foundation", "data.published", None),
)


def tenant_id(recipe: Recipe) -> UUID:
    """The tenant that owns all projects; the system tenant comes with the schema."""
    return recipe.uid("tenant", "uas-programme")


def user_id(recipe: Recipe, name: str) -> UUID:
    """Identifier of one of USERS."""
    return recipe.uid("user", name)


def project_id(recipe: Recipe, key: str) -> UUID:
    """Identifier of one of PROJECTS, or of a project that is gone."""
    return recipe.uid("project", key)


def tables(recipe: Recipe) -> Iterator[Rows]:
    """Tenants, users, tokens, projects and what joins them."""
    yield from _people(recipe)
    yield from _projects(recipe)
    yield from _links(recipe)


def _secret(recipe: Recipe, kind: str, name: str) -> str:
    """Looks like a hash, belongs to no password: these columns exist to be redacted."""
    return hashlib.sha256(f"{recipe.random_seed}:{kind}:{name}".encode()).hexdigest()


def _people(recipe: Recipe) -> Iterator[Rows]:
    tenant = tenant_id(recipe)
    yield Rows(
        "tenants",
        (
            "tenant_id",
            "tenant_code",
            "tenant_name",
            "tenant_type",
            "parent_tenant_id",
            "base_iri",
            "created_at",
            "updated_at",
        ),
        [
            (
                tenant,
                "uas-programme",
                "UAS Programme",
                "organization",
                SYSTEM_TENANT,
                "https://uas.example.mil",
                BEGIN,
                BEGIN,
            )
        ],
    )
    columns = (
        "user_id", "username", "display_name", "password_hash", "salt", "is_admin", "tenant_id", "created_at",
        "updated_at"
    )  # fmt: skip
    yield Rows("users", columns, [
        (user_id(recipe, name), name, shown, _secret(recipe, "password", name), _secret(recipe, "salt", name)[:32],
         admin,
         tenant, BEGIN, BEGIN)
        for name, shown, admin in USERS
    ])  # fmt: skip
    yield Rows("tenant_members", ("tenant_id", "user_id", "role", "joined_at", "invited_by"), [
        (tenant, user_id(recipe, name), "admin" if admin else "viewer" if name == "viewer" else "member", BEGIN,
         user_id(recipe, "admin"))
        for name, _, admin in USERS
    ])  # fmt: skip
    columns = (
        "token_id",
        "token_hash",
        "user_id",
        "username",
        "is_admin",
        "created_at",
        "expires_at",
        "last_used_at",
        "is_active",
    )
    yield Rows("auth_tokens", columns, [
        (recipe.uid("token", name), _secret(recipe, "token", name), user_id(recipe, name), name, admin, BEGIN,
         BEGIN + timedelta(days=1), BEGIN, False)
        for name, _, admin in USERS
    ])  # fmt: skip


def _projects(recipe: Recipe) -> Iterator[Rows]:
    owner, tenant = user_id(recipe, "owner"), tenant_id(recipe)
    namespaces = [(recipe.uid("namespace", p.key), p) for p in PROJECTS]
    yield Rows(
        "namespace_registry",
        ("id", "name", "type", "path", "prefix", "status", "owners", "description", "created_at", "updated_at"),
        [(key, p.key.replace("_", "-"), "project", f"uas/{p.key}", p.key.replace("_", ""), "draft", ["owner"],
         p.purpose,
          BEGIN.replace(tzinfo=None), BEGIN.replace(tzinfo=None)) for key, p in namespaces],
    )  # fmt: skip
    columns = (
        "project_id", "name", "description", "namespace_id", "domain", "created_by", "created_at", "updated_at",
        "project_level", "parent_project_id", "publication_status", "published_at", "published_by", "tenant_id",
    )  # fmt: skip
    yield Rows("projects", columns, [
        (project_id(recipe, p.key), p.name, p.purpose, namespace, p.domain, owner, BEGIN, BEGIN, p.level,
         project_id(recipe, p.parent) if p.parent else None, p.publication,
         BEGIN if p.publication == "published" else None, owner if p.publication == "published" else None, tenant)
        for namespace, p in namespaces
    ])  # fmt: skip
    yield Rows("project_members", ("user_id", "project_id", "role", "joined_at"), [
        (user_id(recipe, name), project_id(recipe, p.key), role, BEGIN) for p in PROJECTS for name, role in _ROLES
    ])  # fmt: skip


def _links(recipe: Recipe) -> Iterator[Rows]:
    owner = user_id(recipe, "owner")
    columns: tuple[str, ...] = (
        "relationship_id", "source_project_id", "target_project_id", "relationship_type", "description", "created_by",
        "created_at"
    )  # fmt: skip
    yield Rows("project_relationships", columns, [
        (recipe.uid("relationship", f"{a}:{b}"), project_id(recipe, a), project_id(recipe, b), kind, why, owner, BEGIN)
        for a, b, kind, why in _COUSINS
    ])  # fmt: skip
    columns = (
        "link_id", "source_project_id", "target_project_id", "link_type", "identified_by", "confidence", "status",
        "created_by", "created_at",
    )  # fmt: skip
    yield Rows("cross_domain_knowledge_links", columns, [
        (recipe.uid("link", f"{a}:{b}"), project_id(recipe, a), project_id(recipe, b), "shares_concept", "das_service",
         0.6 + position / 10, "proposed", owner, BEGIN)
        for position, (a, b, _, _) in enumerate(_COUSINS)
    ])  # fmt: skip
    columns = ("subscription_id", "project_id", "event_type", "source_project_id", "created_at")
    yield Rows("project_event_subscriptions", columns, [
        (recipe.uid("subscription", f"{reader}:{event}"), project_id(recipe, reader), event,
         project_id(recipe, writer) if writer else None, BEGIN)
        for reader, event, writer in _SUBSCRIPTIONS
    ])  # fmt: skip
    columns = ("assumption_id", "project_id", "content", "created_at", "created_by", "status")
    yield Rows("project_assumptions", columns, [
        (recipe.uid("assumption", p.key), project_id(recipe, p.key), f"{p.purpose} Weather follows the standard day.",
         BEGIN, owner, "active")
        for p in PROJECTS
    ])  # fmt: skip
