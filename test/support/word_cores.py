"""Networks of words with codes, and their batches, put together from parts."""

import numpy as np
import torch

from espnet2_taste.inference.scorer import padded
from espnet2_taste.slm.core import SpokenLMCore
from espnet2_taste.slm.grid_heads import LinearGridHead
from espnet2_taste.slm.layouts.streams import Inventory, TextVocabulary
from espnet2_taste.slm.layouts.utterance import Utterance
from espnet2_taste.slm.tail_heads import NoTail
from espnet2_taste.slm.word_embedding import WordEmbedding


def inventory(size, end_id):
    """Text ids of which the even ones begin words; no id but the end is special."""
    special = np.arange(size) == end_id
    return Inventory(TextVocabulary(np.arange(size) % 2 == 0, special, end_id), 0)


def word_core(backbone, quantizer, layout, embedding, fusion, head, bos_id):
    """A TASLM; ``layout`` is given an inventory, the parts a quantizer."""
    size = backbone.hidden_size
    rows = WordEmbedding(quantizer, embedding, fusion, layout.inventory.text.end_id)
    return SpokenLMCore(
        backbone=backbone,
        layout=layout,
        embedding=rows,
        head=LinearGridHead(size, 1),
        tail_head=NoTail(size, 0),
        bos_id=bos_id,
        code_head=head,
    )


def utterance(text, word_ids, codes):
    """Text ids (N,), the word of each, (N,), and codes (W, Q), as an utterance."""
    words = {}
    for token, word in zip(torch.as_tensor(text).tolist(), list(map(int, word_ids))):
        words.setdefault(word, []).append(token)
    codes = torch.as_tensor(codes).tolist()
    return Utterance(tuple(map(tuple, words.values())), codes=tuple(map(tuple, codes)))


def grid_batch(layout, utterances):
    """Utterances laid out and padded, as the preprocessor and the collate do it."""
    return padded([layout.encode(item).fields for item in utterances])
