"""k-means over the frames of a speech encoder's layer: supervised-semantic units.

Enters: frames (F, D). Leaves: centroids (K, D) and the nearest one of each frame (F,).
With an encoder trained on text the units carry content and timing, much as S3 units
do (paper, section 4.1).

Legend: F frames, K units, D features, B utterances, S samples, U units.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch.nn import functional

from espnet2_taste.masks import length_mask
from espnet2_taste.recognizers.choices import load_recognizer
from espnet2_taste.units.abs_unit_extractor import AbsUnitExtractor
from espnet2_taste.units.batches import SpeechBatch

CHUNK = 16384
LARGEST_LIST = 1000
"""Parts of a draw that are held apart: small tensors take more than their numbers."""


def nearest(frames: torch.Tensor, centroids: torch.Tensor) -> torch.Tensor:
    """Index of the nearest centroid of each frame.

    Args:
        frames: (..., D).
        centroids: (K, D).

    Returns:
        (...) int64.
    """
    # The squared length of the frame is the same for all centroids.
    offsets = centroids.square().sum(-1)
    flat = frames.reshape(-1, frames.size(-1))
    chunks = [
        (offsets - 2 * part @ centroids.T).argmin(-1) for part in flat.split(CHUNK)
    ]
    return torch.cat(chunks).view(frames.shape[:-1])


def fit_kmeans(
    frames: torch.Tensor, num_units: int, seed: int = 0, iterations: int = 50
) -> torch.Tensor:
    """Centroids by scikit-learn's k-means, on the CPU.

    Args:
        frames: (F, D).
        num_units: K.
        seed: Of the first centroids.
        iterations: At most so many.

    Returns:
        Centroids, (K, D).

    Raises:
        ValueError: Fewer frames than units.
    """
    from sklearn.cluster import KMeans  # takes a second, and only training needs it

    if len(frames) < num_units:
        raise ValueError(
            f"{len(frames)} frames cannot make {num_units} units; lower --num_units "
            "or give more speech"
        )
    clusters = KMeans(num_units, n_init=1, max_iter=iterations, random_state=seed)
    return torch.from_numpy(clusters.fit(frames.numpy()).cluster_centers_)


class FrameDraw:
    """A random draw from frames that are read one part after the other.

    Every frame gets a random number; those with the smallest ones stay (reservoir
    sampling).

    Args:
        count: Frames wanted; at most 1.25 times as many and a part are held.
        seed: Of the draw.
    """

    def __init__(self, count: int, seed: int):
        self.count, self.total = count, 0
        self._generator = torch.Generator().manual_seed(seed)
        self._kept: list[torch.Tensor] = []
        self._keys: list[torch.Tensor] = []
        self._held, self._limit = 0, float("inf")

    def add(self, part: torch.Tensor) -> None:
        """Read a part, (F, D)."""
        drawn = torch.rand(len(part), generator=self._generator, dtype=torch.float64)
        chosen = drawn < self._limit
        self.total += len(part)
        self._kept.append(part[chosen])
        self._keys.append(drawn[chosen])
        self._held += len(self._keys[-1])
        if self._held > 1.25 * self.count or len(self._kept) > LARGEST_LIST:
            self._shrink()

    def _shrink(self) -> None:
        """Keep the wanted frames, those with the smallest numbers."""
        frames, keys = torch.cat(self._kept), torch.cat(self._keys)
        if len(keys) > self.count:
            self._limit = float(keys.kthvalue(self.count).values)
            chosen = keys <= self._limit
            frames, keys = frames[chosen], keys[chosen]
        self._kept, self._keys, self._held = [frames], [keys], len(keys)

    def frames(self, shuffled: bool = False) -> torch.Tensor:
        """What was drawn, (min(count, total), D).

        Args:
            shuffled: In random order, not in the order they were read.

        Raises:
            ValueError: No frame was read.
        """
        if not self.total:
            raise ValueError(
                "no frames to learn from: the set is empty, or none of its speech is "
                "voiced"
            )
        self._shrink()
        frames, keys = self._kept[0], self._keys[0]
        return frames[keys.argsort()] if shuffled else frames


def joined_frames(
    frames: torch.Tensor, lengths: torch.Tensor, stride: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Neighbouring frames side by side; a rest at the end makes no frame.

    Args:
        frames: (B, F, D).
        lengths: Valid frames, (B,).
        stride: Frames that become one.

    Returns:
        (B, U, stride * D), and valid ones (B,), at least one.
    """
    frames = functional.pad(frames, (0, 0, 0, max(0, stride - frames.size(1))))
    count = frames.size(1) // stride
    joined = frames[:, : count * stride].reshape(len(frames), count, -1)
    return joined, (lengths // stride).clamp(min=1)


class KmeansUnits(AbsUnitExtractor):
    """Nearest centroid of each frame of a layer of a recognizer's encoder.

    Args:
        recognizer: See ``recognizers.choices``.
        recognizer_conf: Its options.
        layer: Blocks passed before the frames are taken.
        num_units: K.
        max_frames: Frames used to fit, drawn at random from a larger set.
        stride: Neighbouring frames that make one unit, side by side: 2 gives 25 units
            a second where the encoder gives 50 frames.
    """

    fitted = ("centroids",)

    def __init__(
        self,
        recognizer: str,
        recognizer_conf: Mapping[str, Any] | None = None,
        layer: int = 1,
        num_units: int = 200,
        max_frames: int = 400000,
        stride: int = 1,
    ):
        super().__init__()
        encoder = load_recognizer(recognizer, recognizer_conf).frame_encoder(layer)
        encoder.check_layer(layer)
        self.encoder = encoder
        self.layer = layer
        self.num_units = num_units
        self.max_frames = max_frames
        self.stride = stride
        self.unit_rate = encoder.frame_rate / stride
        self.sample_rate = encoder.sample_rate
        self.register_buffer("centroids", torch.zeros(num_units, 0))

    def forward(self, speech, speech_lengths):
        """See ``AbsUnitExtractor.forward``."""
        frames, valid, lengths = self._frames(speech, speech_lengths)
        units = nearest(frames, self.centroids)  # (B, U)
        return units.masked_fill(~valid, -1), lengths

    def fit(self, batches: Iterable[SpeechBatch], seed: int) -> Mapping[str, float]:
        """See ``AbsUnitExtractor.fit``."""
        draw = FrameDraw(self.max_frames, seed)
        for batch in batches:
            draw.add(self._valid(batch))
        frames = draw.frames(shuffled=True)
        centroids = fit_kmeans(frames, self.num_units, seed)
        self.centroids = centroids.to(self.centroids.device)
        shares = torch.bincount(nearest(frames, centroids), minlength=self.num_units)
        used = shares[shares > 0] / shares.sum()
        perplexity = float((-(used * used.log()).sum()).exp())
        return {"frames": draw.total, "unit_perplexity": round(perplexity, 2)}

    def _valid(self, batch: SpeechBatch) -> torch.Tensor:
        """Frames of a batch without padding, (F, D)."""
        frames, valid, _ = self._frames(batch.speech, batch.lengths)
        return frames[valid].cpu()

    @torch.no_grad()
    def _frames(
        self, speech: torch.Tensor, speech_lengths: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Frames (B, U, D), True at valid ones (B, U), lengths (B,)."""
        states, _, lengths = self.encoder.layer_states(
            speech, speech_lengths, [self.layer]
        )
        frames, lengths = joined_frames(states[0], lengths, self.stride)
        return frames, length_mask(lengths, frames.size(1)), lengths
