"""The catalogue of protocol checks: see catalogue.py, and docs/protocol-checks.md for the list."""
