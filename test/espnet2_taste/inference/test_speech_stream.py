"""How many words are worked on together before the first samples."""

from espnet2_taste.inference.speech_stream import words_at_first
from espnet2_taste.speech_decoder.abs_unit_decoder import LookAhead


def test_words_that_last_less_than_what_is_waited_for_are_worked_on_together():
    assert words_at_first(LookAhead(4, 9, 25.0), 23) == 3 + 1  # 1.28 s, .4 s each
    assert words_at_first(LookAhead(0, 9, 25.0), 23) == 3
    assert words_at_first(LookAhead(4, 9, 50.0), 23) == 1 + 1
    assert words_at_first(LookAhead(0, 2, 25.0), 3) == 1


def test_where_all_speech_comes_at_the_end_no_word_waits():
    assert words_at_first(None, 23) == words_at_first(LookAhead(4, 9, 25.0), None) == 1
