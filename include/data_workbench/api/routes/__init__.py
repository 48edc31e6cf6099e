"""URLs, rights and status codes."""
