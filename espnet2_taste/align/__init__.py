"""Forced alignment: words -> times."""
