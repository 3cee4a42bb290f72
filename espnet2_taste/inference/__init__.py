"""Trained models for users: from files, a package, or a hub name."""
