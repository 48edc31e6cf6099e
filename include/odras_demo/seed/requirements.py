"""Requirements of the six projects: what the aircraft must do, with limits, and what its software must withstand.

Each project writes blocks of fifty: ten about the aircraft (each with a threshold and an objective), forty about
security. In a block a requirement stands below the one of its parent weakness; across projects it derives from the
requirement in the same place of the project above.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from odras_demo.seed.documents import document_of, file_id
from odras_demo.seed.organisation import PROJECTS, Project, project_id, user_id
from odras_demo.seed.recipe import FILES_PER_SIZE, Recipe, moment
from odras_demo.seed.wording import security_demands

BLOCK = 50
AIRCRAFT = 10
_SECURITY = BLOCK - AIRCRAFT
_STATES = ("draft",) * 6 + ("review",) * 4 + ("approved",) * 6 + ("published",) * 2 + ("deprecated", "cancelled")
_PRIORITIES = ("critical", "high", "high", "medium", "medium", "medium", "low")
_METHODS = ("test", "analysis", "inspection", "demonstration", "review")


@dataclass(frozen=True)
class Theme:
    """A property of the aircraft with the limit it must reach and the one it should reach."""

    name: str
    sentence: str
    threshold: float
    objective: float
    unit: str
    kind: str = "threshold"


THEMES = (
    Theme("Endurance", "remain airborne for at least {value:g} hours with full payload", 8, 12, "h", "kpp"),
    Theme("Range", "operate at a distance of at least {value:g} km from its control station", 80, 120, "km", "kpp"),
    Theme("Wind", "take off and land in steady wind of up to {value:g} m/s", 12, 18, "m/s"),
    Theme("Payload", "carry a payload of at least {value:g} kg", 6, 9, "kg", "kpp"),
    Theme("Unit cost", "cost at most {value:g} thousand US dollars a unit at rate production", 420, 350, "kUSD", "kpc"),
    Theme("Ceiling", "reach a service ceiling of at least {value:g} m above sea level", 4500, 6000, "m"),
    Theme("Cruise speed", "cruise at no less than {value:g} km/h at mission altitude", 110, 140, "km/h"),
    Theme("Time to launch", "be ready for launch within {value:g} minutes after unpacking", 30, 15, "min"),
    Theme("Availability", "be available for at least {value:g} percent of tasked missions", 90, 96, "%"),
    Theme("Noise", "produce at most {value:g} dB(A) at 300 m below its flight path", 62, 55, "dB(A)"),
)


@dataclass(frozen=True)
class Requirement:
    """One requirement before it becomes a row; `theme` is empty for a security requirement."""

    requirement_id: UUID
    project: Project
    position: int
    title: str
    text: str
    kind: str
    theme: Theme | None
    parent: UUID | None
    derived_from: UUID | None
    document: UUID | None
    section: str | None
    state: str
    version: int
    created: datetime
    updated: datetime

    @property
    def identifier(self) -> str:
        """As the database would have filled it."""
        return f"REQ-{self.position + 1:03d}"

    @property
    def is_published(self) -> bool:
        """Others may import it."""
        return self.state == "published"


def requirement_id(recipe: Recipe, project: str, position: int) -> UUID:
    """Identifier of a project's requirement by its place."""
    return recipe.uid("requirement", f"{project}:{position}")


def requirements(recipe: Recipe) -> Iterator[Requirement]:
    """All requirements that projects wrote themselves, block by block."""
    for volume in range(recipe.size):
        for place, project in enumerate(PROJECTS):
            yield from _aircraft_block(recipe, project, volume)
            yield from _security_block(recipe, project, volume, first=(volume * len(PROJECTS) + place) * _SECURITY)


def _aircraft_block(recipe: Recipe, project: Project, volume: int) -> Iterator[Requirement]:
    subject = f"The air vehicle of increment {volume + 1}" if volume else "The air vehicle"
    for number, theme in enumerate(THEMES):
        text = f"{subject} shall {theme.sentence.format(value=threshold(recipe, project, volume, theme))}."
        yield _requirement(
            recipe, project, volume * BLOCK + number, title=f"{theme.name} ({project.name})", text=text,
            kind="design" if theme.unit == "kUSD" else "performance", theme=theme,
        )  # fmt: skip


def threshold(recipe: Recipe, project: Project, volume: int, theme: Theme) -> float:
    """A project's own value: near the theme's, on its safe side, never beyond the objective."""
    share = recipe.draw("threshold", f"{project.key}:{volume}:{theme.name}", 50) / 100
    return round(theme.threshold + (theme.objective - theme.threshold) * share, 1)


def _security_block(recipe: Recipe, project: Project, volume: int, *, first: int) -> Iterator[Requirement]:
    wanted = security_demands()
    seen: dict[int, UUID] = {}
    for number in range(_SECURITY):
        lap, place = divmod(first + number, len(wanted))
        weakness, text = wanted[place]
        if lap:
            text = text.replace("The system shall", f"In stage {lap + 1}, the system of {project.name} shall", 1)
        position = volume * BLOCK + AIRCRAFT + number
        own = requirement_id(recipe, project.key, position)
        above = next((seen[parent] for parent in weakness.parents if parent in seen), None)
        yield _requirement(
            recipe, project, position, title=f"CWE-{weakness.cwe_id} {weakness.name}"[:500], text=text, kind="security",
            parent=above or next(iter(seen.values()), None), section=f"CWE-{weakness.cwe_id}",
            document=file_id(recipe, volume * FILES_PER_SIZE + document_of(weakness.cwe_id)),
        )  # fmt: skip
        seen.setdefault(weakness.cwe_id, own)


def _requirement(
    recipe: Recipe, project: Project, position: int, *, title: str, text: str, kind: str, theme: Theme | None = None,
    parent: UUID | None = None, document: UUID | None = None, section: str | None = None,
) -> Requirement:  # fmt: skip
    key = f"{project.key}:{position}"
    derives = project.parent is not None and (theme is not None or position % 4 == 0)
    # What others import must stay published; everything else is where its draw puts it.
    state = (
        "published" if project.key == "se" and position < AIRCRAFT else _STATES[recipe.draw("state", key, len(_STATES))]
    )
    created = moment(position, recipe.size * BLOCK)
    version = 1 + recipe.draw("version", key, 3)
    return Requirement(
        requirement_id=requirement_id(recipe, project.key, position), project=project, position=position, title=title,
        text=text, kind=kind, theme=theme, parent=parent,
        derived_from=requirement_id(recipe, str(project.parent), position) if derives else None,
        document=document, section=section, state=state, version=version, created=created,
        updated=moment(position, recipe.size * BLOCK, days_later=recipe.draw("age", key, 40) * (version - 1) / 2),
    )  # fmt: skip


def priority(recipe: Recipe, item: Requirement) -> str:
    """Key performance parameters are critical, the rest is drawn."""
    if item.theme is not None and item.theme.kind == "kpp":
        return "critical"
    return _PRIORITIES[recipe.draw("priority", item.requirement_id, len(_PRIORITIES))]


def verification_method(recipe: Recipe, item: Requirement) -> str:
    """How it is to be shown."""
    return _METHODS[recipe.draw("method", item.requirement_id, len(_METHODS))]


def author(recipe: Recipe, item: Requirement) -> UUID:
    """Owner and editor take turns."""
    return user_id(recipe, "owner" if item.position % 2 else "editor")


def owner_project(recipe: Recipe, item: Requirement) -> UUID:
    """The project that wrote it."""
    return project_id(recipe, item.project.key)
