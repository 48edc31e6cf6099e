"""One place that talks to a SPARQL server: queries streamed row by row, updates in one request, errors translated."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from data_workbench.connectors.rdf.config import RdfConfig
from data_workbench.errors import (
    AccessDenied,
    FatalError,
    ResourceExhausted,
    StoreBusy,
    StoreUnavailable,
    StreamUnknown,
    Unsupported,
    UsageError,
    WorkbenchError,
)
from data_workbench.mapping.rdf_values import RDF, XSD, Term

if TYPE_CHECKING:
    import httpx

    from data_workbench.connectors.connections import Connection

Row = list[Term | None]
_TSV = "text/tab-separated-values"
_LONGEST_LINE = 64 * 1024**2
_TERM = re.compile(
    r"""<(?P<iri>[^<>]*)>$ | _:(?P<blank>\S+)$
    | "(?P<text>(?:[^"\\]|\\.)*)" (?: @(?P<language>[A-Za-z0-9-]+) | \^\^<(?P<datatype>[^<>]*)> )?$
    | (?P<double>[+-]?(?:\d+\.?\d*|\.\d+)[eE][+-]?\d+)$ | (?P<decimal>[+-]?\d*\.\d+)$ | (?P<integer>[+-]?\d+)$
    | (?P<boolean>true|false)$""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))", re.DOTALL)
_SHORT = {"t": "\t", "n": "\n", "r": "\r", "b": "\b", "f": "\f"}


def parse_term(text: str) -> Term | None:
    """A term as SPARQL's TSV results write it; an empty cell is unbound.

    Raises:
        ValueError: it is none.
    """
    if not text:
        return None
    found = _TERM.match(text)
    if found is None:
        raise ValueError(f"{text[:80]!r} is no RDF term")
    if found["iri"] is not None:
        return Term("iri", _unescaped(found["iri"]))
    if found["blank"] is not None:
        return Term("blank", found["blank"])
    if found["text"] is not None:
        language = found["language"] or ""
        datatype = RDF + "langString" if language else found["datatype"] or XSD + "string"
        return Term("literal", _unescaped(found["text"]), datatype, language)
    name = next(name for name in ("double", "decimal", "integer", "boolean") if found[name] is not None)
    return Term("literal", text, XSD + name)


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    return _ESCAPE.sub(lambda at: chr(int(at[1] or at[2], 16)) if at[1] or at[2] else _SHORT.get(at[3], at[3]), text)


class Sparql:
    """A dataset of a SPARQL 1.1 server."""

    def __init__(self, connection: Connection) -> None:
        self.config = RdfConfig.of(connection)
        self._id = connection.id
        self._client: httpx.Client | None = None

    @property
    def client(self) -> httpx.Client:
        """The HTTP client, made at first use; it reads no proxy and no password from the environment."""
        if self._client is None:
            import logging

            import httpx

            logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs every request
            config = self.config
            auth = None
            if config.login or config.password:
                auth = (config.login or "", config.password.get_secret_value() if config.password else "")
            self._client = httpx.Client(auth=auth, timeout=config.timeout, verify=config.verify, trust_env=False)
        return self._client

    def close(self) -> None:
        """Close connections; safe to call twice."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def select(self, query: str) -> Iterator[Row]:
        """The rows of a SELECT as they arrive; closing the iterator ends the request."""
        names, rows = self.results(query)
        del names
        return rows

    def results(self, query: str) -> tuple[list[str], Iterator[Row]]:
        """The variables of a SELECT, and its rows as they arrive."""
        lines = self._lines(query)
        header = next(lines, "")
        return [name.lstrip("?$") for name in header.split("\t") if name], self._rows(lines, len(header.split("\t")))

    def ask(self) -> None:
        """Let the server answer something."""
        for _ in self.select("SELECT (1 AS ?one) {}"):
            pass

    def version(self) -> str | None:
        """The server's name and version, if it tells them."""
        with self._translated():
            answer = self.client.get(self.config.query_url, params={"query": "ASK {}"})
        self._refuse(answer)
        return answer.headers.get("server")

    def update(self, text: str) -> None:
        """Run an update request; Fuseki makes it one transaction, whatever it holds."""
        with self._translated():
            answer = self.client.post(
                self.config.update_url,
                content=text.encode(),
                headers={"Content-Type": "application/sparql-update; charset=utf-8"},
            )
        self._refuse(answer)

    # --------------------------------------------------------------------------------------------- what comes back

    def _rows(self, lines: Iterator[str], width: int) -> Iterator[Row]:
        with closing(lines):  # type: ignore[type-var]  # it is a generator
            for line in lines:
                cells = line.split("\t")
                if len(cells) != width:
                    raise self._broken(f"a result of {len(cells)} cells where {width} are wanted")
                try:
                    yield [parse_term(cell) for cell in cells]
                except ValueError as error:
                    raise self._broken(str(error)) from error

    def _lines(self, query: str) -> Iterator[str]:
        headers = {"Accept": _TSV, "Content-Type": "application/sparql-query; charset=utf-8"}
        with (
            self._translated(),
            self.client.stream("POST", self.config.query_url, content=query.encode(), headers=headers) as answer,
        ):
            if answer.status_code != 200:
                answer.read()
                self._refuse(answer)
            if _TSV not in answer.headers.get("content-type", ""):
                raise self._broken(f"{answer.headers.get('content-type')!r} where {_TSV} is wanted")
            rest = ""
            for text in answer.iter_text():
                # Not splitlines: terms may hold other line separators, which results do not escape.
                *whole, rest = (rest + text).split("\n")
                if len(rest) > _LONGEST_LINE:
                    raise ResourceExhausted(f"{self.where}: one result is larger than {_LONGEST_LINE} characters")
                yield from (line.removesuffix("\r") for line in whole)
            if rest:
                # Results end in a line break: what does not was cut off.
                raise StoreUnavailable(f"{self.where} broke off in the middle of a result", hint="see the server's log")

    # --------------------------------------------------------------------------------------------- errors

    @property
    def where(self) -> str:
        """The server, for messages."""
        return f"SPARQL server at {self.config.address} (connection {self._id!r})"

    def _broken(self, said: str) -> FatalError:
        return FatalError(
            f"{self.where}: {said}", hint="a SPARQL 1.1 query service answers so; is the address a dataset's?"
        )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        import httpx

        try:
            yield
        except httpx.InvalidURL as error:
            raise UsageError(f"{self.where}: the address is no URL") from error
        except httpx.TransportError as error:
            said = str(error) or type(error).__name__
            raise StoreUnavailable(
                f"{self.where} does not answer: {said.splitlines()[0][:200]}",
                hint="start it (`workbench up fuseki` for the local stack), or correct the connection's address",
            ) from error

    def _refuse(self, answer: httpx.Response) -> None:
        status = answer.status_code
        if status < 300:
            return
        text = self.config.without_secrets(answer.text)
        said = " ".join(re.sub(r"<[^>]*>", " ", text).split())[:300] or answer.reason_phrase
        raise self._answered(status, f"{self.where}: HTTP {status} {said}")

    def _answered(self, status: int, text: str) -> WorkbenchError:
        if status in (401, 403):
            return AccessDenied(text, hint="check the connection's login and password, and that updates are allowed")
        if status == 404:
            return StreamUnknown(text, hint="check the dataset's name in the connection's address")
        if status == 405:
            return Unsupported(text, hint="the service takes no updates, or has another path: extras `update_path`")
        if status in (408, 423, 429):
            return StoreBusy(text)
        if status == 413:
            return ResourceExhausted(text, hint="lower WORKBENCH_PART_ROWS")
        if status >= 500:
            return StoreUnavailable(text, hint="see the server's log")
        return FatalError(text)
