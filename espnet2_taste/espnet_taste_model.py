"""Training model of the TASTE tokenizer: one batch in, loss, stats and weight out.

Enters: speech (B, S), text (B, N) with word ids, units (B, U), speaker embeddings
(B, E), optionally the times of the words (B, W, 2). Leaves: ESPnet's triple. Legend:
B utterances, S samples, N text tokens, W words, U units, K unit classes, E speaker
features.

The three training steps of the paper (section 3.3) are one model: text only
(``use_taste: false``), TASTE without codes (``quantize: false``), TASTE with codes.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace

import torch
from espnet2.torch_utils.device_funcs import force_gatherable
from espnet2.train.abs_espnet_model import AbsESPnetModel
from torch.nn import functional as F

from espnet2_taste.align.guided_attention import WordSteps, guided_attention_loss
from espnet2_taste.prosody import measure_prosody
from espnet2_taste.ranks import joint_mean, joint_weight
from espnet2_taste.speech_decoder.abs_unit_decoder import (
    AbsUnitDecoder,
    UnitInputs,
    UnitScores,
)
from espnet2_taste.structures import EncoderStates, QuantizerOutput
from espnet2_taste.tokenizer.reward_heads import DurationHead, SpeakerHead
from espnet2_taste.tokenizer.state_cache import EncoderStateCache
from espnet2_taste.tokenizer.taste_tokenizer import TasteTokenizer
from espnet2_taste.trainable_state import TrainableState

IGNORE = -1


def unit_changes(targets: torch.Tensor) -> torch.Tensor:
    """Where a target differs from the one before it; the first always does.

    Args:
        targets: (B, U + 1), ``IGNORE`` behind the end.

    Returns:
        Boolean mask, (B, U + 1).
    """
    before = F.pad(targets, (1, 0), value=IGNORE)[:, :-1]
    return (targets != before) & (targets != IGNORE)


def unit_cross_entropy(
    logits: torch.Tensor, targets: torch.Tensor, change_weight: float
) -> torch.Tensor:
    """Cross-entropy over units and the end, heavier where the unit changes.

    Args:
        logits: (B, U + 1, K + 1).
        targets: (B, U + 1), ``IGNORE`` behind the end.
        change_weight: Weight of changes against 1 for repetitions.

    Returns:
        Weighted mean, scalar.
    """
    losses = F.cross_entropy(
        logits.float().transpose(1, 2), targets, ignore_index=IGNORE, reduction="none"
    )
    weights = (targets != IGNORE) + (change_weight - 1.0) * unit_changes(targets)
    return joint_mean((losses * weights).sum(), weights.sum())


@torch.no_grad()
def unit_accuracies(
    logits: torch.Tensor, targets: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Top-1, top-5 and top-1 at changes.

    Args:
        logits: (B, U + 1, K + 1).
        targets: (B, U + 1), ``IGNORE`` behind the end.

    Returns:
        ``acc``, ``acc_top5`` and ``acc_change``, scalars.
    """
    best = logits.topk(min(5, logits.size(-1)), dim=-1).indices
    hits = best == targets.unsqueeze(-1)  # (B, U + 1, 5)
    valid, changes = targets != IGNORE, unit_changes(targets)
    return {
        "acc": hits[..., 0][valid].float().mean(),
        "acc_top5": hits.any(-1)[valid].float().mean(),
        "acc_change": hits[..., 0][changes].float().mean(),
    }


class ESPnetTasteModel(TrainableState, AbsESPnetModel):
    """TASTE tokenizer with the unit decoder that trains it.

    Args:
        tokenizer: Encoder, aggregator and quantizer.
        unit_decoder: Predicts units from text and TASTE vectors.
        use_taste: False trains the unit decoder from text alone; encoder and
            aggregator are then not computed.
        quantize: False passes continuous vectors on.
        commit_weight: Weight of the commitment loss.
        unit_change_weight: Weight of the loss where the unit changes.
        alignment_weight: Weight of the losses that pull the aggregator's attention to
            the frames, and the unit decoder's to the tokens, of the right words (see
            ``align.guided_attention``); not part of the published system.
        speaker_weight: Weight of the loss that makes every vector predict the speaker.
        duration_weight: Weight of the loss that makes every vector predict how long its
            word is (both: ``tokenizer.reward_heads``).
        encoder_cache_mb: Memory for encoder states of utterances seen before; 0
            computes them anew in every epoch.
        extract_feats_in_collect_stats: Kept for ESPnet, which reads it before it
            builds the model in the statistics stage.
    """

    frozen_prefixes = ("tokenizer.encoder.",)

    def __init__(
        self,
        tokenizer: TasteTokenizer,
        unit_decoder: AbsUnitDecoder,
        use_taste: bool = True,
        quantize: bool = True,
        commit_weight: float = 1.0,
        unit_change_weight: float = 1.0,
        alignment_weight: float = 0.0,
        speaker_weight: float = 0.0,
        duration_weight: float = 0.0,
        encoder_cache_mb: int = 0,
        extract_feats_in_collect_stats: bool = False,
    ):
        super().__init__()
        self.tokenizer = tokenizer
        self.unit_decoder = unit_decoder
        self.use_taste = use_taste
        self.quantize = quantize
        self.commit_weight = commit_weight
        self.unit_change_weight = unit_change_weight
        self.alignment_weight = alignment_weight
        self.speaker_weight = speaker_weight
        self.duration_weight = duration_weight
        size = tokenizer.quantizer.dim
        self.speaker_head, self.duration_head = None, None
        if speaker_weight > 0:
            self.speaker_head = SpeakerHead(size, unit_decoder.spembs_size)
        if duration_weight > 0:
            self.duration_head = DurationHead(size, unit_decoder.vocab_size)
        self.cache = EncoderStateCache(encoder_cache_mb) if encoder_cache_mb else None
        self.extract_feats_in_collect_stats = extract_feats_in_collect_stats
        self._freeze_unused()

    def _freeze_unused(self):
        """Several processes wait for the gradient of all that could have one."""
        if not self.use_taste:
            heads = (self.speaker_head, self.duration_head)
            parts = (self.tokenizer, *self.unit_decoder.taste_parts(), *heads)
            for part in filter(None, parts):
                part.requires_grad_(False)
        elif not (self.quantize or self.tokenizer.project_without_codes):
            self.tokenizer.quantizer.requires_grad_(False)

    def forward(
        self,
        speech: torch.Tensor,
        speech_lengths: torch.Tensor,
        text: torch.Tensor,
        text_lengths: torch.Tensor,
        word_ids: torch.Tensor,
        units: torch.Tensor,
        units_lengths: torch.Tensor,
        spembs: torch.Tensor,
        word_times: torch.Tensor | None = None,
        pitch: torch.Tensor | None = None,
        utt_id: Sequence[str] | None = None,
        **kwargs,
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor], torch.Tensor]:
        """Loss of one batch.

        Args:
            speech: (B, S).
            speech_lengths: (B,).
            text: Token ids, (B, N), -1 at padding.
            text_lengths: (B,).
            word_ids: (B, N), -1 at padding.
            units: (B, U), -1 at padding.
            units_lengths: (B,).
            spembs: (B, E).
            word_times: Begin and end of each word in seconds, (B, W, 2), read when
                ``alignment_weight`` or ``duration_weight`` is above zero, by unit
                decoders that are aligned with the words, and in the place of those that
                the tokenizer's ``word_timer`` would measure.
            pitch: F0 every 10 ms in Hz, 0 where unvoiced, (B, P), read by unit decoders
                that predict prosody.
            utt_id: Utterance ids, which ESPnet's trainer adds.
            **kwargs: Further data, unused.

        Returns:
            Loss, statistics and the number of utterances as weight (with several
            ranks that of all, divided by their number).
        """
        inputs = UnitInputs(
            text=text.clamp(min=0),
            text_lengths=text_lengths,
            word_ids=word_ids,
            taste=None,
            spembs=spembs,
            word_times=word_times,
            seconds=speech_lengths / self.tokenizer.encoder.sample_rate,
        )
        rate = self.unit_decoder.prosody_rate
        if pitch is not None and rate is not None:
            sizes = (self.tokenizer.encoder.sample_rate, units.size(1), rate)
            prosody = measure_prosody(pitch, speech, speech_lengths, *sizes)
            inputs = replace(inputs, prosody=prosody)
        guided = self.alignment_weight > 0
        if guided:
            self._needed(word_times, "alignment_weight")
        loss_commit = loss_frames = spembs.new_zeros(())
        if self.use_taste:
            known = (inputs.text, word_ids, word_times)
            states = self.tokenizer.timed(
                self._encoder_states(speech, speech_lengths, utt_id),
                *(speech, speech_lengths, *known),
            )
            output, loss_frames = self._tokenize(states, inputs, guided)
            inputs, loss_commit = replace(inputs, taste=output.quantized), output.loss
        scores = self.unit_decoder.score(inputs, units, units_lengths, guided)
        losses = {
            **self._unit_losses(scores, loss_commit, loss_frames),
            **self._rewards(inputs),
        }
        loss = sum(weight * value for weight, value in losses.values())
        stats = {name: value.detach() for name, (_, value) in losses.items()}
        stats["loss"] = loss.detach()
        stats |= unit_accuracies(scores.logits, scores.targets)
        used, perplexity = self.tokenizer.quantizer.usage()
        stats |= {"codes_used": used, "codes_perplexity": perplexity}
        weight = joint_weight(text.size(0), loss.device)
        return force_gatherable((loss, stats, weight), loss.device)

    def _unit_losses(
        self, scores: UnitScores, loss_commit: torch.Tensor, loss_frames: torch.Tensor
    ) -> dict[str, tuple[float, torch.Tensor]]:
        """Weight and loss of units, codes, both alignments, durations, prosody."""
        loss_ce = unit_cross_entropy(
            scores.logits, scores.targets, self.unit_change_weight
        )
        return {
            "loss_ce": (1.0, loss_ce),
            "loss_commit": (self.commit_weight, loss_commit),
            "loss_align": (self.alignment_weight, scores.alignment + loss_frames),
            "loss_times": (1.0, scores.durations),
            "loss_prosody": (1.0, scores.prosody),
        }

    def _rewards(self, inputs: UnitInputs) -> dict[str, tuple[float, torch.Tensor]]:
        """Weights and losses of the heads, zero for those that are not there."""
        taste, word_ids = inputs.taste, inputs.word_ids
        speaker = duration = inputs.spembs.new_zeros(())
        if taste is not None and self.speaker_head is not None:
            speaker = self.speaker_head(taste, word_ids, inputs.spembs)
        if taste is not None and self.duration_head is not None:
            times = self._needed(inputs.word_times, "duration_weight")
            duration = self.duration_head(taste, inputs.text, word_ids, times)
        return {
            "loss_speaker": (self.speaker_weight, speaker),
            "loss_duration": (self.duration_weight, duration),
        }

    @staticmethod
    def _needed(word_times: torch.Tensor | None, option: str) -> torch.Tensor:
        if word_times is None:
            raise ValueError(
                f"model_conf.{option} is above 0, but the data has no word_times: run "
                "the recipe with --guided_attention true, or set the weight to 0"
            )
        return word_times

    def _tokenize(
        self, states: EncoderStates, inputs: UnitInputs, guided: bool
    ) -> tuple[QuantizerOutput, torch.Tensor]:
        """TASTE vectors, and the alignment loss of the aggregator or zero."""
        maps = self.tokenizer.aggregator.watched() if guided else nullcontext(())
        with maps as kept:
            output = self.tokenizer.from_states(
                *(states, inputs.text, inputs.text_lengths, inputs.word_ids),
                self.quantize,
            )
        if not guided:
            return output, output.loss.new_zeros(())
        return output, self._frames_alignment(inputs, kept, states.lengths)

    def _frames_alignment(
        self, inputs: UnitInputs, maps: Sequence[torch.Tensor], frames: torch.Tensor
    ) -> torch.Tensor:
        """The aggregator's tokens should look at the frames of their word.

        Maps are L of (B, H, N, F); frames (B,) are the valid ones.
        """
        steps = WordSteps(inputs.word_times, inputs.word_ids, inputs.seconds)
        targets = steps.of_tokens(frames, maps[0].size(-1), margin=1.0)  # (B, N, F)
        return guided_attention_loss(torch.stack(list(maps), dim=1), targets)

    def _encoder_states(
        self,
        speech: torch.Tensor,
        speech_lengths: torch.Tensor,
        utt_id: Sequence[str] | None,
    ) -> EncoderStates:
        """Keys and values (B, F, D), from the cache when the utterances are known."""
        if self.cache is None or utt_id is None:
            return self.tokenizer.encoder(speech, speech_lengths)
        names = list(zip(utt_id, speech_lengths.tolist()))
        states = self.cache.get(names, speech.device)
        if states is None:
            states = self.tokenizer.encoder(speech, speech_lengths)
            self.cache.put(names, states)
        return states

    def taste(
        self,
        speech: torch.Tensor,
        speech_lengths: torch.Tensor,
        text: torch.Tensor,
        text_lengths: torch.Tensor,
        word_ids: torch.Tensor,
    ) -> QuantizerOutput:
        """TASTE vectors of this training step, with or without codes.

        Args:
            speech: (B, S).
            speech_lengths: (B,).
            text: Token ids, (B, N), 0 at padding.
            text_lengths: (B,).
            word_ids: (B, N), -1 at padding.

        Returns:
            Vectors (B, N, D), codes (B, N, Q), commitment loss.
        """
        return self.tokenizer(
            speech, speech_lengths, text, text_lengths, word_ids, self.quantize
        )

    def collect_feats(self, **batch: torch.Tensor) -> dict[str, torch.Tensor]:
        """Nothing: the shapes of the inputs are all that the batches need."""
        return {}
