"""Contracts out to the languages of other tools, and in from them."""
