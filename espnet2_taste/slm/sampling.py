"""How the next text token and the next code or unit are drawn.

Enters: logits of a batch, and one stream of uniform numbers an utterance. Leaves: the
chosen ids. Pure functions and small samplers without state; an utterance draws from
its own stream only, so that a batch gives what its utterances give alone.

Legend: B utterances, V text vocabulary, R ids drawn at once, X candidates.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from espnet2_taste.speech_decoder.unit_sampling import UtteranceNoise, draw
from espnet2_taste.weight_types import convert_weights

NEVER = float("-inf")
"""Logit of what must not be chosen."""
CANDIDATES = 1024
"""Tokens among which the nucleus is looked for first."""


class UniformStreams:
    """Numbers in [0, 1), one stream an utterance, consumed at its own pace.

    Args:
        generators: A CPU generator for each utterance.
        block: Numbers drawn at a time.
    """

    def __init__(self, generators: Sequence[torch.Generator], block: int = 256):
        self.generators = list(generators)
        self.used = torch.full((len(self.generators),), block)  # (B,)
        self.drawn = torch.zeros(len(self.generators), block)  # (B, block)

    @classmethod
    def from_ids(cls, utterance_ids: Sequence[str], seed: int) -> "UniformStreams":
        """Streams that depend on the seed and the utterance's name only."""
        return cls(UtteranceNoise.from_ids(utterance_ids, seed).generators)

    def take(self, active: torch.Tensor, count: int) -> torch.Tensor:
        """Take the next numbers of some utterances.

        Args:
            active: Utterances whose stream moves on, (B,) bool.
            count: R, at most the block.

        Returns:
            (B, R); rows that are not active are arbitrary.
        """
        block = self.drawn.size(1)
        for row in ((self.used + count > block) & active).nonzero()[:, 0].tolist():
            rest = self.drawn[row, self.used[row] :]
            fresh = torch.rand(block - len(rest), generator=self.generators[row])
            self.drawn[row] = torch.cat([rest, fresh])
            self.used[row] = 0
        columns = self.used[:, None] + torch.arange(count)
        self.used = self.used + count * active
        return self.drawn.gather(1, columns.clamp(max=block - 1))

    def select(self, rows: torch.Tensor) -> None:
        """Keep only these utterances, given as indices (B',)."""
        self.generators = [self.generators[row] for row in rows.tolist()]
        self.used, self.drawn = self.used[rows], self.drawn[rows]


def nucleus(
    logits: torch.Tensor, top_p: float, keep_crossing: bool = True
) -> torch.Tensor:
    """Remove the unlikely tail.

    Only the likeliest ``CANDIDATES`` are put in order, which is enough for nearly all
    rows of a large vocabulary; rows that need more are sorted whole.

    Args:
        logits: (..., V).
        top_p: Probability that is kept.
        keep_crossing: Keep the token with which the sum reaches ``top_p``. The
            published system removes it (the best token always stays).

    Returns:
        Logits with ``NEVER`` where removed, (..., V).
    """
    rows = logits.reshape(-1, logits.size(-1))
    candidates = min(CANDIDATES, rows.size(-1))
    kept, reached = _kept(rows, candidates, top_p, keep_crossing)
    if candidates < rows.size(-1) and not reached.all():
        more = ~reached
        kept[more], _ = _kept(rows[more], rows.size(-1), top_p, keep_crossing)
    return rows.masked_fill(~kept, NEVER).view(logits.shape)


def _kept(
    rows: torch.Tensor, candidates: int, top_p: float, keep_crossing: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mark the nucleus among the likeliest, (R, V) -> (R, V).

    Also says which rows reach ``top_p`` with so many candidates, (R,).
    """
    order = rows.topk(candidates, dim=-1).indices
    probabilities = rows.softmax(dim=-1).gather(-1, order)
    cumulative = probabilities.cumsum(dim=-1)
    chosen = cumulative <= top_p
    if keep_crossing:
        chosen = cumulative - probabilities < top_p
    chosen[..., 0] = True
    kept = torch.zeros_like(rows, dtype=torch.bool).scatter(-1, order, chosen)
    return kept, cumulative[..., -1] > top_p


def penalize_repetition(
    logits: torch.Tensor, seen: torch.Tensor, penalty: float
) -> torch.Tensor:
    """Make tokens that occurred less likely.

    Args:
        logits: (..., V).
        seen: True for tokens that occurred, (..., V) bool.
        penalty: Divides positive logits and multiplies negative ones.

    Returns:
        (..., V).
    """
    lowered = torch.where(logits >= 0, logits / penalty, logits * penalty)
    return torch.where(seen, lowered, logits)


def choose(logits: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """Draw by the inverse of the cumulative distribution.

    Args:
        logits: (..., V).
        uniform: Numbers in [0, 1), (...).

    Returns:
        Ids, (...) int64.
    """
    size = logits.size(-1)
    probabilities = logits.float().softmax(dim=-1).view(-1, size)
    classes = torch.arange(size, device=logits.device).expand_as(probabilities)
    numbers = uniform.to(probabilities).reshape(-1)
    return draw(probabilities, classes, numbers).view(logits.shape[:-1])


@dataclass(frozen=True)
class TextSampler:
    """How the next text token of every utterance is drawn.

    Attributes:
        top_p: Probability that is kept; 0 takes the likeliest token.
        temperature: Below 1 sharpens.
        repetition_penalty: 1 for none.
        published: The published order: nucleus on the raw logits, then penalty and
            temperature; otherwise penalty, temperature, nucleus.

    Raises:
        ValueError: A value out of range, where one is drawn.
    """

    top_p: float = 0.0
    temperature: float = 1.0
    repetition_penalty: float = 1.0
    published: bool = False

    def __post_init__(self):
        for name, value, top in (
            ("text_top_p", self.top_p, 1.0),
            ("text_temperature", self.temperature, float("inf")),
            ("repetition_penalty", self.repetition_penalty, float("inf")),
        ):
            if self.top_p and not 0.0 < value <= top:
                raise ValueError(f"{name} must be above 0 and <= {top}, found {value}")

    @property
    def needs_history(self) -> bool:
        """Whether ``seen`` is read."""
        return self.top_p > 0 and self.repetition_penalty != 1.0

    def __call__(
        self,
        logits: torch.Tensor,
        seen: torch.Tensor,
        streams: UniformStreams,
        active: torch.Tensor,
    ) -> torch.Tensor:
        """Choose.

        Args:
            logits: (B, V), ``NEVER`` at banned tokens.
            seen: Tokens of the prompt and of the text so far, (B, V) bool.
            streams: One stream an utterance.
            active: Utterances that need a token now, (B,) bool; only their streams
                move on.

        Returns:
            Ids, (B,) int64; arbitrary where not active.
        """
        if self.top_p == 0:
            return logits.argmax(dim=-1)
        uniform = streams.take(active, 1)[:, 0]
        return choose(self.shape(logits.float(), seen), uniform)

    def shape(self, logits: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        """Apply the three rules, (B, V) -> (B, V)."""
        if self.published:
            logits = nucleus(logits, self.top_p, keep_crossing=False)
        if self.needs_history:
            logits = penalize_repetition(logits, seen, self.repetition_penalty)
        logits = logits / self.temperature
        return logits if self.published else nucleus(logits, self.top_p)


@dataclass(frozen=True)
class SpeechSampler:
    """How units, or the codes of a word, are drawn.

    Attributes:
        top_p: 0 takes the likeliest.
        temperature: Below 1 sharpens.
        top_k: Candidates, 0 for all.
        keep_crossing: See :func:`nucleus`; False as published.

    Raises:
        ValueError: A value out of range.
    """

    top_p: float = 0.0
    temperature: float = 1.0
    top_k: int = 0
    keep_crossing: bool = True

    def __post_init__(self):
        if not 0 <= self.top_p <= 1 or self.temperature <= 0 or self.top_k < 0:
            raise ValueError(
                "speech needs 0 <= speech_top_p <= 1, speech_temperature > 0 and "
                f"speech_top_k >= 0, found {self.top_p}, {self.temperature} and "
                f"{self.top_k}"
            )

    def __call__(
        self, logits: torch.Tensor, streams: UniformStreams, active: torch.Tensor
    ) -> torch.Tensor:
        """Choose.

        Args:
            logits: (B, R, X), ``NEVER`` at what is not allowed.
            streams: One stream an utterance.
            active: Utterances that need ids now, (B,) bool; only their streams move
                on, by R numbers.

        Returns:
            Ids, (B, R); arbitrary where not active.
        """
        if self.top_p == 0:
            return logits.argmax(dim=-1)
        uniform = streams.take(active, logits.size(1))  # (B, R)
        if 0 < self.top_k < logits.size(-1):
            least = logits.topk(self.top_k, dim=-1).values[..., -1:]
            logits = logits.masked_fill(logits < least, NEVER)
        kept = nucleus(logits / self.temperature, self.top_p, self.keep_crossing)
        return choose(kept, uniform)


@dataclass(frozen=True)
class GenerationOptions:
    """How text and speech are drawn, the same for every design.

    Attributes:
        text_top_p: Probability of the likeliest text tokens that one is drawn from; 0
            takes the likeliest token (no temperature, no penalty).
        text_temperature: Of the text; below 1 favours likely tokens.
        repetition_penalty: Makes text tokens of prompt and continuation less likely; 1
            for none.
        speech_top_p: The same as for text, of codes or units; 0 takes the likeliest.
        speech_temperature: Of codes and units; below 1 favours likely ones.
        speech_top_k: Candidates of a code or unit, 0 for all.
        speech_only: Never leave speech for text where a layout could.
        guidance: Share of the frozen base LM in the choice of text, 0 to 1; 0 needs no
            second pass.
        dtype: Weights of the LM: float32, bfloat16 or int8; default: as trained.
        compile: Backend of torch.compile for the LM, such as inductor, which compiles
            for a minute and more before the first word, not with int8; default: it runs
            as it is.
        reference_compat: Published rules of sampling, vocabulary, latent head and end
            of speech (test/README.md); the end follows from sentence_end_after alone.
    """

    text_top_p: float = 0.0
    text_temperature: float = 1.0
    repetition_penalty: float = 1.0
    speech_top_p: float = 0.0
    speech_temperature: float = 1.0
    speech_top_k: int = 0
    speech_only: bool = True
    guidance: float = 0.0
    dtype: str | None = None
    compile: str | None = None
    reference_compat: bool = False

    def prepare(self, core) -> None:
        """Make a ``SpokenLMCore`` generate faster, in place: adapters become weights,
        and these get the type asked for, then it is compiled if asked for.

        With guidance they stay apart, since the base LM is asked as well. Rows, prompts
        and cached keys may be as many as they like without compiling again.

        Raises:
            ValueError: A type or a backend that there is not, or int8 to be compiled.
        """
        if self.compile and self.dtype == "int8":
            raise ValueError(
                f"compile: {self.compile} does nothing for dtype: int8, whose layers "
                "stop the compiler one by one: leave one of both out"
            )
        if not self.guidance:
            core.backbone = core.backbone.merged()
        convert_weights(core.backbone.lm, self.dtype)
        if self.compile:
            self._compile(core.backbone.causal_lm.base_model)

    def _compile(self, lm: torch.nn.Module) -> None:
        known = torch.compiler.list_backends(exclude_tags=("experimental",))
        if self.compile not in known:
            raise ValueError(f"compile is '{self.compile}', expected one of {known}")
        lm.compile(backend=self.compile, dynamic=True)

    def text_sampler(self) -> TextSampler:
        """The sampler of text tokens."""
        return TextSampler(
            self.text_top_p,
            self.text_temperature,
            self.repetition_penalty,
            self.reference_compat,
        )

    def speech_sampler(self) -> SpeechSampler:
        """The sampler of codes and units."""
        return SpeechSampler(
            self.speech_top_p,
            self.speech_temperature,
            self.speech_top_k,
            not self.reference_compat,
        )
