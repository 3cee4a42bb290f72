"""Trained recognizers: one option gives vocabulary, transcripts, times and encoder."""
