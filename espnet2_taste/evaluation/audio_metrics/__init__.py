"""Measures of recordings: one class each, named in ``choices``."""
