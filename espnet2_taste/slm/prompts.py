"""What comes before a continuation: the only place where modes of generation differ.

Enters: text, words and codes of a prompt. Leaves: :class:`PromptRows`, the rows that
the language model reads and the codes that are still under way when they end.

Legend: N text tokens, W words, P rows, Q codebooks, H hidden size, d delay.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from espnet2_taste.slm.layouts.abs_layout import HOLE
from espnet2_taste.slm.layouts.streams import TEXT_KINDS
from espnet2_taste.slm.layouts.text_aligned import IGNORE
from espnet2_taste.slm.layouts.utterance import Turn, Utterance
from espnet2_taste.slm.layouts.word_grammar import WordState

if TYPE_CHECKING:
    from espnet2_taste.slm.core import SpokenLMCore


@dataclass(frozen=True)
class PromptRows:
    """A prompt as the language model reads it.

    Attributes:
        inputs: Embedded rows, (P, H).
        text: Ids that the repetition penalty counts, (N,).
        state: Of the grammar.
        current: Codes read in the last row, (Q,), -1 for none yet.
        pending: Codes that arrive next, (d, Q), -1 where none arrives.
        rows: Ids of the embedded rows, where the design writes these again.
        known: Rows that follow, with ``HOLE`` where a cell is to be chosen.
    """

    inputs: torch.Tensor
    text: torch.Tensor
    state: Any
    current: torch.Tensor | None = None
    pending: torch.Tensor | None = None
    rows: Sequence[Sequence[int]] = ()
    known: Sequence[Sequence[int]] = ()

    def with_text(self, words: Sequence[Sequence[int]], end_id: int) -> "PromptRows":
        """The same with the text that follows, whose codes alone are chosen.

        Args:
            words: Text ids of each word, at least one.
            end_id: The token that ends text.
        """
        starts = tuple(place == 0 for word in words for place in range(len(word)))
        tokens = (token for word in words for token in word)
        known = [[token, HOLE] for token in (*tokens, end_id)]
        return replace(self, known=known, state=replace(self.state, given=starts))


def silence(core: "SpokenLMCore", rows: int) -> torch.Tensor:
    """Codes of rows in which no word arrives, (rows, Q) of -1."""
    shape = (rows, core.quantizer.num_codebooks)
    return torch.full(shape, IGNORE, device=core.device)


def read_rows(core: "SpokenLMCore", ids: np.ndarray) -> torch.Tensor:
    """Embed rows and what comes before them, (P, 1 + Q) -> (P + 1, H)."""
    grid = torch.from_numpy(ids).to(core.device)
    return core.rows(grid[None])[0]


def text_ids(core: "SpokenLMCore", ids: Sequence[int]) -> torch.Tensor:
    """Ids on the device of a model, (N,)."""
    return torch.tensor(ids, dtype=torch.int64, device=core.device)


def empty_prompt(core: "SpokenLMCore", starts_word: bool = True) -> PromptRows:
    """Nothing but the beginning of an utterance.

    Args:
        core: The model.
        starts_word: False where the first word is written without leading space.
    """
    return PromptRows(
        inputs=core.embedding.begin(core.backbone, core.bos_id)[None],
        text=text_ids(core, ()),
        state=WordState() if starts_word else WordState(TEXT_KINDS),
        current=silence(core, 1)[0],
        pending=silence(core, core.layout.delay),
    )


def spoken_prompt(core: "SpokenLMCore", utterance: Utterance) -> PromptRows:
    """Spoken words: text with the codes of every word.

    Args:
        core: The model.
        utterance: Words and codes.

    Raises:
        ValueError: Words and codes differ in number.
    """
    ids, count = core.layout.rows(utterance), len(utterance.tokens)
    codes = torch.from_numpy(ids[:, 1:]).to(core.device)
    read = torch.cat([silence(core, 1), codes[:count]])
    arrived = (read != IGNORE).any(dim=-1)
    arrived[0] = True  # none, if no other has
    return PromptRows(
        inputs=read_rows(core, ids[:count]),
        text=text_ids(core, utterance.tokens),
        state=WordState(),
        current=read[arrived.nonzero()[-1, 0]],
        pending=codes[count : count + core.layout.delay],
    )


def written_prompt(
    core: "SpokenLMCore", ids: Sequence[int], reference_compat: bool = False
) -> PromptRows:
    """Written words, to be continued by spoken ones.

    Args:
        core: The model.
        ids: Text ids, (N,).
        reference_compat: Published behaviour: bare text embeddings without BOS and
            without fusion, which training never shows.
    """
    empty, text = empty_prompt(core), text_ids(core, ids)
    inputs = core.backbone.embed(text)  # (N, H)
    if not reference_compat:
        rows = torch.cat([text[:, None], silence(core, len(text))], dim=1)
        inputs = core.rows(rows[None])[0]
    return replace(empty, inputs=inputs, text=text)


def turn_prompt(
    core: "SpokenLMCore", turn: Turn, reference_compat: bool = False
) -> PromptRows:
    """Spoken words between written ones, e.g. the turns of a chat template.

    Args:
        core: The model.
        turn: The words and what stands around them.
        reference_compat: Published behaviour: the text around the spoken words is
            embedded without fusion, and the codes of the last d words are left out.
            Otherwise d rows of text padding take them in before the text behind them.
    """
    if reference_compat:
        embed = core.backbone.embed
        before, after = (text_ids(core, ids) for ids in (turn.before, turn.after))
        spoken = spoken_prompt(core, turn.spoken).inputs[1:]
        inputs = torch.cat([embed(before), spoken, embed(after)])
    else:
        inputs = read_rows(core, core.layout.turn_rows(turn))
    text = text_ids(core, (*turn.before, *turn.spoken.tokens, *turn.after))
    empty = empty_prompt(core, starts_word=False)
    return replace(empty, inputs=inputs, text=text)
