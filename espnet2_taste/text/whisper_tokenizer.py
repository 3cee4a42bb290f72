"""Whisper's vocabulary, with its language and task.

Enters: one word (str). Leaves: its token ids, the prefix of Whisper's decoder, and text
again from ids.
"""

from pathlib import Path

from espnet2_taste.experiment_files import from_hub
from espnet2_taste.text.huggingface_tokenizer import HuggingFaceTokenizer


class WhisperTextTokenizer(HuggingFaceTokenizer):
    """Whisper's vocabulary, with the prefix its decoder expects.

    Args:
        tokenizer_path: Directory (of the model, or written by :meth:`save`), file in
            it, or hub name.
        language: Language of a multilingual model; that of the directory, or English.
        task: "transcribe" or "translate"; that of the directory, or "transcribe".
    """

    def __init__(
        self,
        tokenizer_path: str | Path,
        language: str | None = None,
        task: str | None = None,
    ) -> None:
        super().__init__(tokenizer_path)
        self.generation = _generation_config(tokenizer_path)
        self.multilingual = getattr(self.generation, "is_multilingual", True)
        self.language = language or getattr(self.generation, "language", None) or "en"
        self.task = task or getattr(self.generation, "task", None) or "transcribe"

    def decoder_prefix(self) -> list[int]:
        """Start, language and task of a multilingual model, no timestamps.

        Raises:
            ValueError: The vocabulary has no such language or task, or is no Whisper's.
        """
        chosen = (self.language, self.task) if self.multilingual else ()
        names = ("startoftranscript", *chosen, "notimestamps")
        known = self.tokenizer.get_vocab()
        missing = [name for name in names if f"<|{name}|>" not in known]
        if missing:
            raise ValueError(
                f"the vocabulary of {self.tokenizer.name_or_path} has no token "
                f"<|{missing[0]}|>: give the tokenizer of a Whisper model, and one of "
                "its languages (language=de) and tasks (transcribe, translate)"
            )
        return [known[f"<|{name}|>"] for name in names]

    def generation_options(self) -> dict[str, str]:
        """Language and task for the model's ``generate``; none in English-only ones."""
        if not self.multilingual:
            return {}
        return {"language": self.language, "task": self.task}

    def save(self, directory: str | Path) -> None:
        """Write what this class is built from, language and task included."""
        self.tokenizer.save_pretrained(directory)
        if self.generation is None:
            return
        if self.multilingual:
            self.generation.language, self.generation.task = self.language, self.task
        self.generation.save_pretrained(directory)


def _generation_config(tokenizer_path: str | Path):
    """What a model's folder says of generation, None if nothing."""
    from transformers import GenerationConfig

    try:
        return from_hub(GenerationConfig, tokenizer_path)
    except OSError:
        return None
