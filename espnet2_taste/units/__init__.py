"""Offline features: speech units and speaker embeddings."""
