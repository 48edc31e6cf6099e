"""Errors as Qdrant words them."""

from __future__ import annotations


class Refusal(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def wrong_input(message: str) -> Refusal:
    """The request is well-formed, but cannot be done."""
    return Refusal(400, f"Wrong input: {message}")


def malformed(message: str) -> Refusal:
    """The body does not have the shape of the operation."""
    return Refusal(400, f"Format error in JSON body: {message}")


def invalid(message: str) -> Refusal:
    """A name breaks a rule."""
    return Refusal(422, f"Validation error: {message}")


def not_found(message: str) -> Refusal:
    """No such collection, alias or point."""
    return Refusal(404, f"Not found: {message}")


def conflict(message: str) -> Refusal:
    """The name is taken."""
    return Refusal(409, f"Wrong input: {message}")


def unsupported(operation: str) -> Refusal:
    """The real server can do this, the local one cannot."""
    return Refusal(501, f"Not implemented in the local Qdrant: {operation}. Use a real server for it")
