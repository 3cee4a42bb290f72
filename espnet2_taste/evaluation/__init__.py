"""Studies: networks, files and the pure measures of ``metrics`` brought together."""
