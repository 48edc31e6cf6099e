"""How long the outside is asked that does not answer.

The connector tries a request again itself. When so many questions in a row have had no answer all the same, the rest of
the run's are not asked: a million rows must not wait a million times.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from data_workbench.enrichment.answers import Found
from data_workbench.errors import RetriableError

MOST_UNANSWERED = 3


class Patience:
    """Counts questions without an answer; for any thread.

    Args:
        fails: raise instead of going on without an answer.
    """

    def __init__(self, step: str, *, fails: bool) -> None:
        self._step, self._fails = step, fails
        self._unanswered = 0
        self._reason = ""
        self._lock = threading.Lock()

    @property
    def is_over(self) -> bool:
        """Whether nothing more is asked."""
        return self._unanswered >= MOST_UNANSWERED

    def asked(self, ask: Callable[[], list[Found]], count: int) -> list[Found]:
        """The answers to so many questions, or that there is none.

        Raises:
            RetriableError: there is none, and it matters.
        """
        if self.is_over:
            return [Found("unavailable", reason=self._reason)] * count
        try:
            found = ask()
        except RetriableError as error:
            if self._fails:
                raise type(error)(f"step {self._step!r}: {error.message}", hint=error.hint) from error
            with self._lock:
                self._unanswered += 1
                self._reason = error.message
            return [Found("unavailable", reason=error.message)] * count
        with self._lock:
            self._unanswered = 0
        return found
