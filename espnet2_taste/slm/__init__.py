"""Spoken language models over text and TASTE codes."""
