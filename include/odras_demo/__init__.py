"""A sample ODRAS installation."""
