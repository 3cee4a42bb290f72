"""TASTE heads: hidden states of the LM to the code of a word, with their objectives.

Enters: hidden states of all layers, each (..., H). Leaves: a prediction that the same
head turns into a loss, a likelihood, code logits or codes. The head knows its own
objective; nobody asks which head it is.

Legend: Q codebooks, K codes, C latent size, H hidden size; ``...`` words of a batch.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Dict, Optional, Sequence

import torch
from torch import nn

from espnet2_taste.slm import losses
from espnet2_taste.tokenizer.quantizers.codebooks import code_spread, lone_codes

ONE_HOT_LOGIT = 1000.0
"""Logit of the code nearest to a predicted latent: any sampler will pick it."""


@dataclass(frozen=True)
class HeadLoss:
    """Loss of a head.

    Attributes:
        per_word: What is minimised, (...), before the mean over words.
        parts: Its terms by name, each (...).
    """

    per_word: torch.Tensor
    parts: Dict[str, torch.Tensor]


@dataclass(frozen=True)
class LatentPrediction:
    """Gaussian over the latent of a word.

    Attributes:
        mu: (..., C), in the head's own scale.
        logvar: log sigma^2, (C,).
        z: The latent that is taken: sampled in training, see the head in evaluation.
    """

    mu: torch.Tensor
    logvar: torch.Tensor
    z: torch.Tensor


class AbsTasteHead(nn.Module, ABC):
    """Predicts the code of a word from hidden states.

    Args:
        hidden_size: H.
        num_layers: Hidden states offered, embeddings included.
        quantizer: Gives the sizes; it is not kept.
    """

    reference_compat = False
    """Whether published rules hold where the head's own differ from them."""
    score_unit = "minus training loss"
    """Unit of :meth:`log_likelihood`, which is not that of a text's."""

    def __init__(self, hidden_size: int, num_layers: int, quantizer: nn.Module):
        super().__init__()
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.num_codebooks = quantizer.num_codebooks
        self.codebook_size = quantizer.codebook_size

    @property
    def layers(self) -> Sequence[int]:
        """Which hidden states :meth:`forward` reads: indices into all layers."""
        return (self.num_layers - 1,)

    @abstractmethod
    def forward(
        self, states: Sequence[torch.Tensor], noise: Optional[torch.Tensor] = None
    ) -> Any:
        """Predict.

        Args:
            states: The hidden states named by :attr:`layers`, each (..., H).
            noise: Standard normal (..., C) for heads that sample; drawn when absent.

        Returns:
            A prediction for the other methods.
        """

    @abstractmethod
    def loss(
        self, prediction: Any, codes: torch.Tensor, quantizer: nn.Module
    ) -> HeadLoss:
        """Compare with the codes of the words, (..., Q)."""

    @abstractmethod
    def code_logits(self, prediction: Any, quantizer: nn.Module) -> torch.Tensor:
        """Return logits to sample codes from, (..., Q, K)."""

    def codes(self, prediction: Any, quantizer: nn.Module) -> torch.Tensor:
        """Return the most likely codes, (..., Q)."""
        return self.code_logits(prediction, quantizer).argmax(dim=-1)

    def log_likelihood(
        self, prediction: Any, codes: torch.Tensor, quantizer: nn.Module
    ) -> torch.Tensor:
        """Score the codes of each word: higher is likelier.

        Args:
            prediction: Of :meth:`forward`.
            codes: (..., Q).
            quantizer: The frozen quantizer.

        Returns:
            Minus the loss of each word, (...), as the published scoring has it.
        """
        return -self.loss(prediction, codes, quantizer).per_word

    def nats(
        self, prediction: Any, codes: torch.Tensor, quantizer: nn.Module
    ) -> torch.Tensor:
        """Natural log-likelihood of the codes of each word, comparable with a text's.

        Args:
            prediction: Of :meth:`forward`.
            codes: (..., Q).
            quantizer: The frozen quantizer.

        Returns:
            (...); a log-density where the head predicts vectors.
        """
        logits = self.code_logits(prediction, quantizer)
        return -losses.cross_entropy(logits, codes).sum(dim=-1)


class LinearLastHead(AbsTasteHead):
    """One linear layer on the last hidden state; mean cross entropy of the codebooks.

    Args:
        hidden_size: H.
        num_layers: Hidden states offered.
        quantizer: Gives the sizes.
        weights: Weight of each codebook in the loss; equal when empty.

    Raises:
        ValueError: Wrong number of weights.
    """

    def __init__(
        self,
        hidden_size: int,
        num_layers: int,
        quantizer: nn.Module,
        weights: Sequence[float] = (),
    ):
        super().__init__(hidden_size, num_layers, quantizer)
        if weights and len(weights) != self.num_codebooks:
            raise ValueError(
                f"head_conf: weights needs {self.num_codebooks} numbers, one a "
                f"codebook, found {len(weights)}"
            )
        self.linear = nn.Linear(hidden_size, self.num_codebooks * self.codebook_size)
        shares = torch.tensor(list(weights) or [1.0] * self.num_codebooks)
        self.register_buffer("shares", shares / shares.sum(), persistent=False)

    def forward(self, states, noise=None):
        """See :meth:`AbsTasteHead.forward`; leaves logits (..., Q, K)."""
        logits = self.linear(states[0].float())
        return logits.unflatten(-1, (self.num_codebooks, self.codebook_size))

    def loss(self, prediction, codes, quantizer):
        """See :meth:`AbsTasteHead.loss`."""
        layers = losses.cross_entropy(prediction, codes)  # (..., Q)
        return HeadLoss((layers * self.shares).sum(dim=-1), {"code_ce": layers})

    score_unit = "nats"

    def code_logits(self, prediction, quantizer):
        """See :meth:`AbsTasteHead.code_logits`."""
        return prediction

    def log_likelihood(self, prediction, codes, quantizer):
        """Log probability of all codebooks of a word together, (...)."""
        return self.nats(prediction, codes, quantizer)


class WeightedLayerHead(LinearLastHead):
    """The linear head on a softmax-weighted sum of all hidden states."""

    def __init__(
        self,
        hidden_size: int,
        num_layers: int,
        quantizer: nn.Module,
        weights: Sequence[float] = (),
    ):
        super().__init__(hidden_size, num_layers, quantizer, weights)
        self.layer_weights = nn.Parameter(torch.ones(num_layers))

    @property
    def layers(self):
        """All hidden states."""
        return tuple(range(self.num_layers))

    def forward(self, states, noise=None):
        """See :meth:`AbsTasteHead.forward`; leaves logits (..., Q, K)."""
        stacked = torch.stack([state.float() for state in states], dim=-1)
        mixed = stacked @ self.layer_weights.softmax(dim=0)  # (..., H, A) -> (..., H)
        return super().forward([mixed])


class MultiLinearLastHead(LinearLastHead):
    """The linear head, trained on its expected latent as well: (MSE + CE) / 2."""

    def loss(self, prediction, codes, quantizer):
        """See :meth:`AbsTasteHead.loss`."""
        ce = super().loss(prediction, codes, quantizer)
        expected = self.expected_latent(prediction, quantizer)
        mse = losses.latent_regression(expected, quantizer.latent(codes))
        parts = {**ce.parts, "latent_mse": mse}
        return HeadLoss(0.5 * (mse + ce.per_word), parts)

    def expected_latent(
        self, logits: torch.Tensor, quantizer: nn.Module
    ) -> torch.Tensor:
        """Return the latent expected under the predicted code probabilities.

        Args:
            logits: (..., Q, K).
            quantizer: The frozen quantizer.

        Returns:
            (..., C).
        """
        return soft_code_vectors(logits, quantizer).sum(dim=-2)


def codebook_table(quantizer: nn.Module, device: torch.device) -> torch.Tensor:
    """List the latent of every code of every codebook alone.

    Args:
        quantizer: Its latent must be the sum over codebooks.
        device: Where the codes are made.

    Returns:
        (Q, K, C).
    """
    return quantizer.latent(lone_codes(quantizer, device))


def soft_code_vectors(logits: torch.Tensor, quantizer: nn.Module) -> torch.Tensor:
    """Expected code vector of each codebook.

    Args:
        logits: (..., Q, K).
        quantizer: Its latent must be the sum over codebooks.

    Returns:
        (..., Q, C).
    """
    table = codebook_table(quantizer, logits.device)  # (Q, K, C)
    return torch.einsum("...qk,qkc->...qc", logits.softmax(dim=-1), table)


class ContinueLatentLinearLastHead(AbsTasteHead):
    """Gaussian over the summed code vector: linear mean, one learned variance.

    Training takes ``z = mu + sigma * noise``, evaluation ``z = mu``.

    L_KL compares with a Gaussian of variance 1 around the target, so it presumes that
    latents have about that size. Codebooks trained on little data are often several
    times smaller; sigma then hides them and mu learns slowly. ``standardize`` divides
    all latents by the root mean square of the codebooks around their mean. That mean
    can be many times as large (28 against 2.4 with Whisper's values): ``center`` takes
    it away, else the first steps serve it alone and the text model is lost to them.

    Args:
        hidden_size: H.
        num_layers: Hidden states offered.
        quantizer: Gives the sizes, and where its latents lie.
        reg_weight: Weight of L_reg; the rest, ``1 - reg_weight``, goes to L_KL.
        standardize: Predict latents of unit size; published: no.
        center: Predict latents without the mean of the codebooks; published: no.
        reference_compat: Published behaviour: evaluation takes ``z = mu + sigma``,
            and the gradient of z is that of ``mu + sigma`` in training as well.
    """

    def __init__(
        self,
        hidden_size: int,
        num_layers: int,
        quantizer: nn.Module,
        reg_weight: float = 0.5,
        standardize: bool = False,
        center: bool = False,
        reference_compat: bool = False,
    ):
        super().__init__(hidden_size, num_layers, quantizer)
        mean, scale = torch.zeros(()), torch.ones(())
        if standardize or center:
            found = code_spread(quantizer, quantizer.latent)
            mean = found[0] if center else mean
            scale = found[1] if standardize else scale
        self.register_buffer("scale", scale, persistent=standardize)
        self.register_buffer("mean", mean, persistent=center)
        self.reg_weight = reg_weight
        self.reference_compat = reference_compat
        self.mu = nn.Linear(hidden_size, quantizer.latent_size)
        self.logvar = nn.Parameter(torch.zeros(quantizer.latent_size))

    def forward(self, states, noise=None):
        """See :meth:`AbsTasteHead.forward`; leaves a :class:`LatentPrediction`."""
        mu = self.mu(states[0].float())
        return LatentPrediction(mu, self.logvar, self.take(mu, noise))

    def take(
        self, mu: torch.Tensor, noise: Optional[torch.Tensor] = None
    ) -> torch.Tensor:
        """Choose the latent of each word.

        Args:
            mu: (..., C).
            noise: Standard normal, (..., C); drawn when absent.

        Returns:
            z, (..., C).
        """
        if not (self.training or self.reference_compat):
            return mu
        sigma = (0.5 * self.logvar).exp()
        if not self.training:
            return mu + sigma
        noise = torch.randn_like(mu) if noise is None else noise
        if self.reference_compat:
            return mu + sigma + (sigma * (noise - 1.0)).detach()
        return mu + sigma * noise

    def target(self, codes: torch.Tensor, quantizer: nn.Module) -> torch.Tensor:
        """Return what is predicted: latents of codes, scaled, (..., Q) -> (..., C)."""
        return (quantizer.latent(codes) - self.mean) / self.scale

    def loss(self, prediction, codes, quantizer):
        """See :meth:`AbsTasteHead.loss`."""
        c = self.target(codes, quantizer)
        reg = losses.latent_regression(prediction.z, c)
        kl = losses.latent_kl(prediction.mu, prediction.logvar, c)
        per_word = self.reg_weight * reg + (1.0 - self.reg_weight) * kl
        return HeadLoss(per_word, {"latent_reg": reg, "latent_kl": kl})

    def nats(self, prediction, codes, quantizer):
        """Log-density of the latent under the predicted Gaussian, (...)."""
        c = self.target(codes, quantizer)
        sigma = (0.5 * prediction.logvar).exp()
        normal = torch.distributions.Normal(prediction.mu, sigma)
        return (normal.log_prob(c) - self.scale.log()).sum(dim=-1)

    def codes(self, prediction, quantizer):
        """See :meth:`AbsTasteHead.codes`."""
        return quantizer.codes_from_latent(prediction.z * self.scale + self.mean)

    def code_logits(self, prediction, quantizer):
        """See :meth:`AbsTasteHead.code_logits`: one-hot, nearest code of z."""
        codes = self.codes(prediction, quantizer)
        one_hot = nn.functional.one_hot(codes, self.codebook_size)
        return one_hot.to(prediction.z.dtype) * ONE_HOT_LOGIT
