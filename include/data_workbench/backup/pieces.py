"""Single tables, labels, relationship types and collections out of a set, or of them one entity, into stores in use.

What stands there is made as it is in the set: rows, nodes and points that differ or lack are written, those the set
does not have are removed. With a key, only of that key. Each store has one module: `table_piece`, `graph_piece`,
`point_piece`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Protocol

from data_workbench.backup.content import Reader
from data_workbench.errors import Unsupported, UsageError
from data_workbench.events import emit

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connections

Key = Mapping[str, Any]


class PieceRestore(Protocol):
    """One stream on its way back."""

    def check(self) -> None:
        """Ask everything that can be asked before anything is touched."""

    def restore(self) -> dict[str, Any]:
        """Do it; counts of what was `written` and `removed`, and where the replaced is kept."""


@dataclass(frozen=True)
class Piece:
    """One stream of one store."""

    store: str
    stream: str


def parse_piece(text: str) -> Piece:
    """Read `STORE:STREAM`: `odras_postgres:public.requirements`, `odras_neo4j:Requirement`, `odras_neo4j:[:TYPE]`.

    Raises:
        UsageError: it is none of these.
    """
    store, mark, stream = text.partition(":")
    if not (store and mark and stream):
        raise UsageError(f"{text!r} names no stream of a store", hint="write STORE:STREAM, as `backup show` lists them")
    return Piece(store, stream)


@dataclass(frozen=True)
class Pieces:
    """Pieces of one set."""

    reader: Reader
    connections: Connections
    key: Key | None = None

    def restore(self, pieces: Sequence[Piece]) -> list[dict[str, Any]]:
        """Bring them back, in this order; what happened to each.

        Raises:
            UsageError: the set has no such stream.
            AccessDenied, StateError: the identity does not open the set, or it is damaged; nothing was touched.
        """
        self.reader.require_key()
        works = [self._work(piece) for piece in pieces]
        for work in works:
            work.check()
        self._require_whole(pieces)
        done = []
        for piece, work in zip(pieces, works, strict=True):
            emit("backup.store", store=piece.store)
            done.append({"store": piece.store, "stream": piece.stream, **work.restore()})
        return done

    def _require_whole(self, pieces: Sequence[Piece]) -> None:
        stores = [self.reader.manifest.stores[name] for name in dict.fromkeys(piece.store for piece in pieces)]
        for chunk in sorted({chunk for store in stores for file in store.files for chunk in file.chunks}):
            self.reader.chunk(chunk)

    def _work(self, piece: Piece) -> PieceRestore:
        stored = self.reader.manifest.stores.get(piece.store)
        if stored is None:
            raise UsageError(
                f"the set has no store {piece.store!r}", hint=f"it has {', '.join(self.reader.manifest.stores)}"
            )
        if piece.stream not in stored.streams or piece.stream.startswith("("):
            known = [name for name in stored.streams if not name.startswith("(")]
            near = get_close_matches(piece.stream, known, 5) or known[:5]
            raise UsageError(
                f"{piece.store} of the set has no stream {piece.stream!r}",
                hint=f"do you mean {', '.join(near)}? `workbench backup show` lists all",
            )
        connection = self.connections.get(piece.store)
        match stored.kind:
            case "postgres":
                from data_workbench.backup.table_piece import TablePiece

                stamp = f"{datetime.now(UTC):%Y%m%d%H%M%S}"
                return TablePiece(connection, stored, self.reader, stamp=stamp, table=piece.stream, key=self.key)
            case "neo4j":
                from data_workbench.backup.graph_piece import GraphPiece

                return GraphPiece(connection, stored, self.reader, piece.stream, self.key)
            case "qdrant":
                from data_workbench.backup.point_piece import PointPiece

                return PointPiece(connection, stored, self.reader, piece.stream, self.key)
        raise Unsupported(f"no piece can be taken of {stored.kind}", hint="workbench backup restore")
