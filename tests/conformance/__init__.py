"""What every connector must do, as test classes a connector's tests inherit in one line.

    class TestPostgresDestination(DestinationConformance): ...   # and the fixtures `destination` and `target`

Cases choose themselves by capability: one a store does not declare is skipped with that reason.
"""
