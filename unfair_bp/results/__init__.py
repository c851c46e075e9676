"""Runs found, grouped and compared."""
