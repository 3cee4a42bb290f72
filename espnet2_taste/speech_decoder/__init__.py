"""Text + TASTE vectors + speaker -> speech units."""
