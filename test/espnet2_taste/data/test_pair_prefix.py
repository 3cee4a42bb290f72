"""The common beginning of a pair: by words, or by sound."""

import numpy as np
import pytest

from espnet2_taste.data.audio import write_audio
from espnet2_taste.data.pair_prefix import (
    read_shared_words,
    shared_seconds,
    shared_words,
)
from espnet2_taste.structures import WordTiming

TIMES = [WordTiming(w, n / 2, 0.4) for n, w in enumerate("a b c d".split())]


@pytest.mark.parametrize(
    "texts, seconds, count",
    [
        (("a b c d", "a b x d"), 0.0, 2),
        (("a b", "a b c"), 9.0, 1),
        (("x b", "a b"), 9.0, 0),
        (("a b c d", "a b c d"), 1.25, 3),
        (("a b c d", "a b c d"), 1.15, 2),
        (("a b c d", "a b c d"), 9.0, 3),
        (("a", "a"), 9.0, 0),
    ],
)
def test_words_of_the_common_beginning(texts, seconds, count):
    assert shared_words(texts, seconds, TIMES) == count


def test_sound_is_shared_up_to_the_first_sample_that_differs():
    one = np.arange(100, dtype=np.float32)
    other = one.copy()
    other[30] += 1
    assert shared_seconds((one, 10), (other, 10)) == 3.0
    assert shared_seconds((one, 10), (one[:50], 10)) == 5.0
    assert shared_seconds((one, 10), (one, 20)) == 0.0


def test_a_set_gives_the_words_of_both_members(tmp_path):
    rng = np.random.default_rng(0)
    speech = rng.uniform(-0.5, 0.5, 32000).astype(np.float32)
    changed = np.concatenate([speech[:16000], -speech[16000:]])
    for name, samples in (("p", speech), ("n", changed)):
        write_audio(tmp_path / f"{name}.wav", samples, 16000)
    rows = {"p": "a b c d", "n": "a b c d"}
    files = {
        "text": rows,
        "wav.scp": {name: str(tmp_path / f"{name}.wav") for name in rows},
    }
    for file, table in files.items():
        lines = [f"{key} {value}\n" for key, value in table.items()]
        (tmp_path / file).write_text("".join(sorted(lines)))
    ctm = [f"p 1 {t.start:.2f} {t.duration:.2f} {t.word}\n" for t in TIMES]
    (tmp_path / "ctm").write_text(
        "".join(ctm + [line.replace("p", "n") for line in ctm])
    )
    (tmp_path / "pairs.tsv").write_text("positive\tnegative\np\tn\n")
    assert read_shared_words(tmp_path, "ctm", {"n"}) == {"p": 2, "n": 2}
    assert read_shared_words(tmp_path, "ctm", {"x"}) == {}
    (tmp_path / "text").write_text("n a b c d\n")
    assert read_shared_words(tmp_path, "ctm", {"p", "n"}) == {}
