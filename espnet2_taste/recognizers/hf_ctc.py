"""wav2vec 2.0, HuBERT and their like with a CTC head, as Hugging Face stores them.

Their vocabularies are characters, with ``|`` between words; here they become an ESPnet
token list with the same ids, so that everything that knows ESPnet's characters and CTC
heads works for them.
"""

from dataclasses import dataclass
from typing import ClassVar

from espnet2_taste.recognizers.abs_recognizer import AbsRecognizer
from espnet2_taste.text.huggingface_tokenizer import load_tokenizer
from espnet2_taste.text.token_list_tokenizers import CharacterTokenizer
from espnet2_taste.text.training import write_tokens
from espnet2_taste.tokenizer.encoders.hub import load_pretrained
from espnet2_taste.tokenizer.encoders.ssl import SslEncoder


@dataclass
class HfCtcRecognizer(AbsRecognizer):
    """A ``...ForCTC`` model with its tokenizer.

    Args:
        model: Directory, a file in it, or hub name, e.g.
            ``facebook/wav2vec2-base-960h``.
        offset: Seconds added to the times of tokens.
    """

    speech_encoder: ClassVar[str] = "ssl"

    model: str
    offset: float = 0.0

    def encoder_conf(self):
        """See :meth:`AbsRecognizer.encoder_conf`."""
        return {"model": self.model}

    def frame_encoder(self, layer):
        """See :meth:`AbsRecognizer.frame_encoder`."""
        return SslEncoder(self.model, layer)

    def token_list(self) -> list[str]:
        """Tokens in ESPnet's names; the place in the list is the id.

        Raises:
            ValueError: The model has no vocabulary of characters.
        """
        tokenizer = load_tokenizer(self.model)
        names = {
            tokenizer.pad_token: "<blank>",
            tokenizer.unk_token: "<unk>",
            getattr(tokenizer, "word_delimiter_token", None): CharacterTokenizer.SPACE,
        }
        ids = tokenizer.get_vocab()
        tokens = [names.get(token, token) for token in sorted(ids, key=ids.get)]
        if sorted(ids.values()) != list(range(len(ids))) or len(names) < 3:
            raise ValueError(
                f"--recognizer {self.model}: its tokenizer "
                f"({type(tokenizer).__name__}) does not list characters with a blank, "
                "an unknown token and a word delimiter; choose another recognizer"
            )
        return [*tokens, "<sos/eos>"]

    def write_vocabulary(self, directory):
        """See :meth:`AbsRecognizer.write_vocabulary`."""
        write_tokens(directory, self.token_list(), "char")
        return "char"

    def aligner(self, device="cpu", window=30.0):
        """See :meth:`AbsRecognizer.aligner`."""
        import transformers

        from espnet2_taste.align.ctc_aligner import CtcAligner, CtcScorer
        from espnet2_taste.align.words import BoundaryRule

        loaded = load_pretrained(transformers.AutoModelForCTC, self.model)
        encoder = SslEncoder(self.model)
        scorer = CtcScorer(encoder, loaded.lm_head).to(device)
        rule = BoundaryRule(offset=self.offset)
        tokenizer = CharacterTokenizer(self.token_list())
        return CtcAligner(scorer, tokenizer, rule, window=window)
