"""Sequence layouts: how text and speech share rows, as pure data."""
