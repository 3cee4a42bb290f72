"""The published model's files: read, checked, turned into experiments, and back."""
