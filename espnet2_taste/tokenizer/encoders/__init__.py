"""Frozen speech encoders: waveform -> keys and values for the aggregator."""
