"""Kaldi-style directories, audio files and word times on disk."""
