"""Whisper of any size and language, as Hugging Face stores it."""

from dataclasses import dataclass, replace
from typing import ClassVar

from espnet2_taste.experiment_files import local_place
from espnet2_taste.recognizers.abs_recognizer import AbsRecognizer
from espnet2_taste.text.whisper_tokenizer import WhisperTextTokenizer
from espnet2_taste.tokenizer.encoders.hub import load_pretrained


@dataclass
class WhisperRecognizer(AbsRecognizer):
    """A ``WhisperForConditionalGeneration`` with tokenizer and feature extractor.

    Args:
        model: Directory, a file in it, or hub name, e.g. ``openai/whisper-large-v3``.
        language: Spoken language of a multilingual model ("de"); English by default.
        task: "transcribe" (the default) or, into English, "translate".
        offset: Seconds added to the begins that attention gives; see
            ``align.whisper_aligner``.
    """

    speech_encoder: ClassVar[str] = "whisper"
    aggregator: ClassVar[str] = "whisper"

    model: str
    language: str | None = None
    task: str | None = None
    offset: float = -0.1

    def encoder_conf(self):
        """See :meth:`AbsRecognizer.encoder_conf`."""
        return {"model": self.model}

    def frame_encoder(self, layer):
        """See :meth:`AbsRecognizer.frame_encoder`; padding is masked."""
        from espnet2_taste.tokenizer.encoders.whisper import PretrainedWhisperEncoder

        return PretrainedWhisperEncoder(self.model, layer, full_window=False)

    def tokenizer(self) -> WhisperTextTokenizer:
        """Its vocabulary, with the prefix of language and task."""
        return WhisperTextTokenizer(self.model, self.language, self.task)

    def write_vocabulary(self, directory):
        """See :meth:`AbsRecognizer.write_vocabulary`."""
        self.tokenizer().save(directory)
        (directory / "token_type").write_text("whisper\n", encoding="utf-8")
        return "whisper"

    def aligner(self, device="cpu", window=30.0):
        """See :meth:`AbsRecognizer.aligner`."""
        import transformers

        from espnet2_taste.align.whisper_aligner import WORD_RULE, WhisperAligner

        model = load_pretrained(
            transformers.WhisperForConditionalGeneration, self.model
        )
        extractor = transformers.WhisperFeatureExtractor.from_pretrained(
            local_place(self.model)
        )
        rule = replace(WORD_RULE, offset=self.offset)
        return WhisperAligner(
            model.to(device), extractor, self.tokenizer(), rule, window
        )
