"""Every error the workbench raises on purpose. The parent says what to do, the child what happened.

    WorkbenchError
    ├── RetriableError            try again with back-off
    │   ├── StoreUnavailable      a server does not answer, or dropped the connection
    │   └── StoreBusy             a lock, deadlock or rate limit
    │       └── SlotsTaken        as many stages as a connection's `limit` allows are at the store
    ├── SkippableError            this record goes to the quarantine, the rest goes on
    │   └── RecordRejected
    └── FatalError                fail now; trying again changes nothing
        ├── UsageError            wrong use of a command or an option              (exit 2)
        │   └── MomentUnreadable  a time that was typed is none
        ├── DefinitionError       a broken pipeline file, with its findings        (exit 2)
        ├── ConnectionUnknown     no such connection id, or it cannot be read
        ├── AccessDenied          the store, or a rule of ours, refuses
        ├── StreamUnknown         no such table, label, collection, file or column
        ├── SchemaConflict        a schema does not fit the policy or the destination
        ├── TransformError        a step's expression does not fit its input, or cannot be computed
        ├── NotAllowed            the run would destroy what stands, without leave to
        ├── ContractViolated      `on_invalid: fail`, or a check at level fail
        ├── Unsupported           the store cannot do it (a capability it does not declare)
        ├── BalanceError          a step or destination lost or invented rows
        ├── RunConflict           another run of this pipeline is under way
        ├── ReconciliationFailed  stores differ after a load
        ├── StateError            a checkpoint, manifest or stored plan is missing or damaged
        └── ResourceExhausted     a guard on disk, memory or size said no

A message names the thing, the value seen and the value wanted; `hint` is the next step. Secrets never.
"""

from __future__ import annotations

from dataclasses import dataclass


class WorkbenchError(Exception):
    """Base of all errors raised on purpose.

    Args:
        message: what happened, to which thing, with the value seen and the value wanted.
        hint: the next step for whoever reads it.
        run_id: the run it happened in, if any.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None, run_id: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.run_id = run_id

    @property
    def kind(self) -> str:
        """The class name, as the CLI's JSON tells it."""
        return type(self).__name__

    def as_dict(self) -> dict[str, str | None]:
        """The `error` member of the CLI's JSON document."""
        return {"kind": self.kind, "message": self.message, "hint": self.hint, "run_id": self.run_id}

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments do not survive the default pickling that process pools and Airflow use.
        return (_rebuild, (type(self), self.message, self.hint, self.run_id, dict(self.__dict__)))


def _rebuild(
    kind: type[WorkbenchError], message: str, hint: str | None, run_id: str | None, state: dict[str, object]
) -> WorkbenchError:
    error = kind.__new__(kind)
    WorkbenchError.__init__(error, message, hint=hint, run_id=run_id)
    error.__dict__.update(state)
    return error


class RetriableError(WorkbenchError):
    """Trying again later may succeed."""


class StoreUnavailable(RetriableError):
    """A server does not answer, or dropped the connection."""


class StoreBusy(RetriableError):
    """A lock, a deadlock or a rate limit."""


class SlotsTaken(StoreBusy):
    """As many stages as a connection's `limit` allows are at the store."""


class SkippableError(WorkbenchError):
    """One record cannot go on; the others can."""


class RecordRejected(SkippableError):
    """A store refused one record."""


class FatalError(WorkbenchError):
    """Trying again changes nothing."""


class UsageError(FatalError):
    """A command or an option was used wrongly."""

    exit_code = 2


class MomentUnreadable(UsageError):
    """A time that somebody typed is none."""


@dataclass(frozen=True)
class Finding:
    """One mistake in a pipeline file; lines and columns count from 1."""

    file: str
    line: int
    column: int
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        tail = f" ({self.hint})" if self.hint else ""
        return f"{self.file}:{self.line}:{self.column}: {self.message}{tail}"


class DefinitionError(FatalError):
    """A pipeline file is broken; `findings` has every mistake with its place."""

    exit_code = 2

    def __init__(self, findings: list[Finding]) -> None:
        super().__init__("\n".join(str(finding) for finding in findings))
        self.findings = findings


class ConnectionUnknown(FatalError):
    """No such connection id, or its value cannot be read."""


class AccessDenied(FatalError):
    """The store, or a rule of ours, refuses."""


class StreamUnknown(FatalError):
    """No such table, label, collection, file or column."""


class SchemaConflict(FatalError):
    """A schema does not fit the policy or the destination."""


class TransformError(FatalError):
    """A step's expression does not fit its input, or cannot be computed."""


class NotAllowed(FatalError):
    """The run would destroy what stands, and was not given leave to."""


class ContractViolated(FatalError):
    """Rows break the contract and `on_invalid: fail` was asked for."""


class Unsupported(FatalError):
    """The store cannot do this; its capabilities say so."""


class BalanceError(FatalError):
    """A step or a destination lost or invented rows."""


class RunConflict(FatalError):
    """Another run of this pipeline is under way."""


class ReconciliationFailed(FatalError):
    """The stores differ after a load."""


class StateError(FatalError):
    """A checkpoint, a manifest or a stored plan is missing or damaged."""


class ResourceExhausted(FatalError):
    """A guard on disk, memory or size said no."""
