"""TASTE speech tokens and text-aligned spoken language models for ESPnet2.

Read the sub-packages in the order data flows: ``text`` and ``data`` (transcripts,
audio) -> ``tokenizer`` (speech + text -> codes) -> ``speech_decoder`` (codes -> units)
-> ``vocoder`` (units -> waveform) -> ``slm`` (language model over text and codes)
-> ``align``/``metrics`` (scores) -> ``tasks`` -> ``bin`` (commands).
"""

__version__ = "0.1.0"
