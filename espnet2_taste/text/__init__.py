"""Transcripts: normalisation, words, token ids and word ids."""
