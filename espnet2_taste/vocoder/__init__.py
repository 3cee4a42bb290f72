"""Speech units + speaker -> waveform."""
