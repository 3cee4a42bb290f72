"""How many words are worked on together at first, and what is said of waiting."""

from types import SimpleNamespace

from helper_modules import load_tests

from espnet2_taste.inference.speech_stream import warn_of_waiting, words_at_first
from espnet2_taste.speech_decoder.abs_unit_decoder import LookAhead
from espnet2_taste.vocoder.flow_vocoder import FlowVocoder


def test_words_that_last_less_than_what_is_waited_for_are_worked_on_together():
    assert words_at_first(LookAhead(4, 9, 25.0), 23) == 4 + 1  # 1.28 s, .4 s each
    assert words_at_first(LookAhead(0, 9, 25.0), 23) == 4
    assert words_at_first(LookAhead(4, 9, 50.0), 23) == 2 + 1
    assert words_at_first(LookAhead(0, 2, 25.0), 3) == 1


def test_where_all_speech_comes_at_the_end_no_word_waits():
    assert words_at_first(None, 23) == words_at_first(LookAhead(4, 9, 25.0), None) == 1


def test_what_waits_for_the_end_is_named_with_a_remedy(caplog):
    common = load_tests("vocoder", "test_flow_vocoder.py").COMMON
    aligned = SimpleNamespace(look_ahead=LookAhead(4, 9, 25.0))
    warn_of_waiting("a", aligned, FlowVocoder(**common, chunk=8, chunk_context=4))
    assert not caplog.text
    warn_of_waiting("a", aligned, FlowVocoder(**common))
    assert "'a': all speech comes at the end, since vocoder FlowVocoder" in caplog.text
    assert "set vocoder_conf.chunk in its config.yaml" in caplog.text
    caplog.clear()
    whole = SimpleNamespace(context=None, streaming_remedy="choose another")
    warn_of_waiting("b", SimpleNamespace(look_ahead=None), whole)
    assert "needs the whole text: train one of unit_decoder: aligned" in caplog.text
    assert "needs all units: choose another" in caplog.text
