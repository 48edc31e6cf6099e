"""Data Management Workbench."""
