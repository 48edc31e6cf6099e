"""The work behind routes and pages."""
