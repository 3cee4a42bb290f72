"""Sequence layouts: how text and speech share rows, as pure data.

Every spoken LM of the comparison is a *grid* of ids, rows x streams, that a causal LM
reads and writes row by row. The designs differ in four answers: which clock owns a
row, what each stream holds in it, what may come next, and which head reads it. A
layout gives the first three (``abs_layout.py``); the head is chosen in the YAML.

==================  ==================  =============================================
file                designs             a row is
==================  ==================  =============================================
``unit``            gslm, twist         one (deduplicated) unit
``parallel``        s3_parallel,        the next token beside the next unit; no
                    mini_omni           alignment
``frame_aligned``   moshi               one frame; a word's text at the word's frame
``interleave``      spiritlm            one token or one unit, in spans of words
``expressive``      spiritlm_expr       the same with pitch and style merged by time
``text_ctc``        llama_omni,         one token; the units are no rows at all
                    cascade
==================  ==================  =============================================

In TASLM's own layout, ``text_aligned``, a row is a text token beside the codes of a
word, of which the LM reads a quantizer's vector until the next one arrives. What may
come next in them, ``word_grammar`` says.

Grammar. A layout is also an automaton: ``start``, ``allowed(state, row so far)``,
``advance(state, row)`` and ``final``. It accepts every training grid and is final
exactly at its end, so that sampling under its mask needs no other rules. States are
frozen values; nothing is searched again as a grid grows.

Prompts are grids with holes: streams may be known up to different rows (the text of a
parallel prompt ends long before its units do). Rows without a hole are read at once,
later ones take their known cells from the prompt.
"""
