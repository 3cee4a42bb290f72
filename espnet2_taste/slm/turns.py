"""Text around the turns of a dialogue, which answers follow.

Enters: two texts, or a chat template. Leaves: text ids.
"""

from espnet2_taste.slm.layouts.utterance import Row
from espnet2_taste.text.huggingface_tokenizer import HuggingFaceTokenizer

TURN_MARK = "SPOKENWORDS"
"""Stands for the spoken words while a chat template is filled in."""


def turn_frame(
    tokenizer: HuggingFaceTokenizer, texts: tuple[str, str] | None = None
) -> tuple[Row, Row]:
    """Tokenise the text around a turn.

    Args:
        tokenizer: The text LM's.
        texts: Text before and after the turn; None for the tokenizer's chat template.
            BOS is put before it where it is missing.

    Returns:
        ``before`` and ``after`` of a ``Turn``.

    Raises:
        RuntimeError: No text is given and the tokenizer has no template.
    """
    before, after = (
        tokenizer.tokenizer.encode(text, add_special_tokens=False)
        for text in texts or chat_frame(tokenizer.tokenizer)
    )
    bos = tokenizer.special_id("bos")
    return tuple(before if before[:1] == [bos] else [bos, *before]), tuple(after)


def chat_frame(tokenizer) -> tuple[str, str]:
    """What a tokenizer's chat template writes around a turn that is to be answered.

    Args:
        tokenizer: A ``transformers`` tokenizer.

    Returns:
        Text before and after the turn.

    Raises:
        RuntimeError: It has no chat template, or one that changes the turn.
    """
    if tokenizer.chat_template is None:
        raise RuntimeError(
            "the text LM's tokenizer has no chat template: write the text around a "
            "spoken turn yourself (--turn_frame BEFORE AFTER)"
        )
    turn = [{"role": "user", "content": TURN_MARK}]
    text = tokenizer.apply_chat_template(
        turn, tokenize=False, add_generation_prompt=True
    )
    before, mark, after = text.partition(TURN_MARK)
    if not mark:
        raise RuntimeError(
            "the chat template of the text LM's tokenizer changes what is said: write "
            "the text around a spoken turn yourself (--turn_frame BEFORE AFTER)"
        )
    return before, after
