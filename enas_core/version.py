"""The version of this code, installed or not: `pyproject.toml` reads it here, and every table names it."""

VERSION = "0.2.0.dev0"
"""`.dev0`: on the way to the release of that number."""
