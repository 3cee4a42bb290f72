"""A CTC model of Hugging Face as recognizer: ``hf_ctc``."""

import numpy as np
import pytest
import torch

from espnet2_taste.recognizers.choices import load_recognizer
from espnet2_taste.text.tokenizers import load_token_dir
from espnet2_taste.text.training import write_directory


def noise(seconds):
    wave = np.random.default_rng(0).standard_normal(int(16000 * seconds))
    return (0.1 * wave).astype(np.float32)


def test_its_characters_become_a_token_list_with_the_same_ids(ctc_dir, tmp_path):
    write_directory(tmp_path / "tokens", load_recognizer(str(ctc_dir)).write_vocabulary)
    tokens = load_token_dir(tmp_path / "tokens")
    assert tokens.special_id("blank") == 0 and tokens.special_id("unk") == 3
    assert tokens.encode_word("dogs") == [
        4,
        *(tokens.token_list.index(c) for c in "DOGS"),
    ]


def test_transcripts_are_those_of_the_models_own_class(ctc_dir):
    import transformers

    wave = noise(2.0)
    aligner = load_recognizer(str(ctc_dir)).aligner()
    processor = transformers.Wav2Vec2Processor.from_pretrained(ctc_dir)
    model = transformers.HubertForCTC.from_pretrained(ctc_dir).eval()
    given = processor(wave, sampling_rate=16000, return_tensors="pt")
    with torch.no_grad():
        logits = model(given.input_values).logits
    scores = aligner.log_probs([wave])[0]
    torch.testing.assert_close(scores, logits[0].log_softmax(-1), atol=1e-4, rtol=1e-4)
    found = aligner.align([wave], [["THE", "DOG"]])[0]
    assert [timing.word for timing in found.words] == ["THE", "DOG"]
    assert found.words[-1].end <= 2.0
    assert found.recognized == aligner.transcribe([wave])[0]


def test_another_model_is_refused_by_name(tiny_llm):
    with pytest.raises(
        ValueError, match=r"type 'llama' \(LlamaForCausalLM\) is no rec"
    ):
        load_recognizer(str(tiny_llm))
