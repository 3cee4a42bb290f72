"""Scores, studies, tables and pictures."""
