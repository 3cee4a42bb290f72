"""ESPnet2 task classes."""
