"""Vectors -> residual codes and back."""
