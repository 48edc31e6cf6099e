"""The command line over stores of this test."""

from tests.integration.cli.conftest import shell

__all__ = ["shell"]
