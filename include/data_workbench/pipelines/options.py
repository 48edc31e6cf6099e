"""How a run may depart from the ordinary one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class RunOptions:
    """Options of one run; kept with it, so that a restart does the same.

    Args:
        full_refresh: read everything again; keys the destinations hold and the sources no longer have are deleted.
        reset_state: forget cursors, overlap and deferred rows before the run.
        limit: at most so many rows of each source; the cursors stay where they are.
        dry_run: a sample through all stages, nothing written to a destination.
        allow: names of effects that may destroy what stands (`effects.EFFECTS`), or `all`.
        only_keys: read only these keys, per source a list of key columns and values; the cursors stay.
        edits: corrections of some of these keys, per source a list of `key` and `set`, the columns with new values.
        replays: ids of the quarantined records these keys are of; publishing the run closes them.
    """

    full_refresh: bool = False
    reset_state: bool = False
    limit: int | None = None
    dry_run: bool = False
    allow: tuple[str, ...] = ()
    only_keys: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)
    edits: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)
    replays: list[int] = field(default_factory=list)

    @property
    def moves_state(self) -> bool:
        """Whether the cursors may go on after this run."""
        return self.limit is None and not self.dry_run and not self.only_keys

    def allows(self, effect: str) -> bool:
        """Whether the run may do what destroys."""
        return effect in self.allow or "all" in self.allow

    def to_json(self) -> dict[str, Any]:
        """The form stored with the run."""
        values = {**asdict(self), "allow": list(self.allow)}
        # Left out where empty: the options of an earlier version's runs are compared with these.
        return {name: one for name, one in values.items() if one or name not in ("edits", "replays")}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> RunOptions:
        """The reverse of `to_json`."""
        given = dict(values)
        if given.pop("allow_model_change", False):  # as runs of earlier versions have it
            given["allow"] = ("model",)
        return cls(**{**given, "allow": tuple(given.get("allow", ()))})
