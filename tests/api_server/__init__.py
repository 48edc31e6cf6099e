"""A real API on 127.0.0.1 for tests: REST with every pagination and way of logging in, GraphQL, and faults on demand.

`ApiServer` answers well unless told to fail (`fail`); `RawServer` speaks bytes, for what no well-behaved server does.
"""

from api_server.raw import RawServer
from api_server.server import ApiServer, Fault

__all__ = ["ApiServer", "Fault", "RawServer"]
