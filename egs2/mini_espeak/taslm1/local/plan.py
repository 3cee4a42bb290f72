"""What is said in every set, by whom and how.

Enters: the numbers of utterances and a seed. Leaves: per set a list of ``Utterance``,
each with one take, or two takes of the same text that are joined at a word; and the
files that tell which utterances belong together.

Everything is decided here, before any sound is made: ``render`` has no chance in it.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import grammar
from espeak import Phrase
from grammar import Sentence

# Variants with breath (f2, f3, f5) are left out: their noise is not reproducible.
TRAIN_VOICES = {
    "gbf4": "en+f4",
    "gbm7": "en+m7",
    "rpf1": "en-gb-x-rp+f1",
    "scm5": "en-gb-scotland+m5",
    "usm2": "en-us+m2",
    "usm3": "en-us+m3",
    "uswa": "en-us+Annie",
    "uswb": "en-us+belinda",
}
WOMEN, MEN = ("gbf4", "rpf1", "uswa", "uswb"), ("gbm7", "scm5", "usm2", "usm3")
NEW_VOICES = {"gbws": "en+steph", "usm6": "en-us+m6"}
# The recipe's recognizer misses 5 % of the words of originals below 200 words a minute,
# 21 % from 200 to 230: it could not tell what resynthesis does to faster speech.
SLOWEST, FASTEST = 110, 205
LOWEST, HIGHEST = 30, 90
LEAST_CHANGE = 1.3  # of the rate; every rate between the two has one at this distance
SLOW, FAST = 110, 200
Drawing = Callable[[random.Random], Sentence]
Phrasing = Callable[[tuple[str, ...]], tuple[Phrase, ...]]  # words to styled phrases


@dataclass(frozen=True)
class Style:
    """How something is said: words a minute, and pitch on eSpeak's scale 0 to 99."""

    rate: int
    pitch: int


MIDDLE = Style(148, 50)


@dataclass(frozen=True)
class Take:
    """One run of the synthesizer: a voice of eSpeak and phrases with their styles."""

    voice: str
    phrases: tuple[Phrase, ...]


@dataclass(frozen=True)
class Utterance:
    """One recording to make.

    Attributes:
        utterance_id: Its name, beginning with the speaker.
        speaker: Speaker id.
        take: What is synthesized.
        ending: A second take of the same text whose words from ``cut`` on replace
            those of the first, or None.
        cut: Number of words kept of the first take.
    """

    utterance_id: str
    speaker: str
    take: Take
    ending: Take | None = None
    cut: int = 0


@dataclass
class SetPlan:
    """One data set.

    Attributes:
        utterances: What to make.
        tables: Further files by name: header and rows.
    """

    utterances: list[Utterance] = field(default_factory=list)
    tables: dict[str, tuple[tuple[str, ...], list[tuple]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Sizes:
    """Number of utterances or pairs of each set."""

    train: int = 2000
    train_slm: int = 3000
    dev: int = 80
    test: int = 100
    test_newvoice: int = 50
    swap: int = 40
    pairs_style: int = 100
    pairs_voice: int = 100
    pairs_coherent: int = 80
    prompts: int = 100
    text_extra: int = 20000

    def scaled(self, scale: float) -> "Sizes":
        """Sizes times ``scale``, at least 2 of everything."""
        return Sizes(**{k: max(2, round(v * scale)) for k, v in vars(self).items()})


class Planner:
    """Draws sentences, voices and styles from one source of chance."""

    def __init__(self, sizes: Sizes, seed: int):
        self.sizes = sizes
        self.rng = random.Random(seed)
        self.held_out: set[str] = set()

    def plan(self) -> dict[str, SetPlan]:
        """Plan every set with audio; sentences of test sets never occur in train."""
        sets = {
            "test": self._plain("test", self.sizes.test, TRAIN_VOICES),
            "test_newvoice": self._plain("new", self.sizes.test_newvoice, NEW_VOICES),
            "dev": self._plain("dev", self.sizes.dev, TRAIN_VOICES),
            **self._swap(),
            "pairs_style": self._pairs("style", self.sizes.pairs_style),
            "pairs_voice": self._pairs("voice", self.sizes.pairs_voice),
            "pairs_coherent": self._coherent(),
            "prompts": self._prompts(),
        }
        sets["train"] = self._train(
            "train", self.sizes.train, grammar.draw_with_parts, self._phrases
        )
        sets["train_slm"] = self._train(
            "slm", self.sizes.train_slm, grammar.draw, self._one_phrase
        )
        return sets | self._swap_voices(sets["swap_slow"])

    def extra_text(self) -> list[str]:
        """Sentences for the text language model, none of a test set."""
        lines: list[str] = []
        while len(lines) < self.sizes.text_extra:
            sentence = grammar.draw(self.rng)
            if sentence.text not in self.held_out:
                lines.append(sentence.text)
        return lines

    def _new(self, make) -> Sentence:
        """Draw a sentence that no held-out set has, and hold it out."""
        while True:
            sentence = make(self.rng)
            if sentence.text not in self.held_out:
                self.held_out.add(sentence.text)
                return sentence

    def _style(self) -> Style:
        rate = SLOWEST * (FASTEST / SLOWEST) ** self.rng.random()
        return Style(round(rate), self.rng.randint(LOWEST, HIGHEST))

    def _one_phrase(self, words: tuple[str, ...]) -> tuple[Phrase, ...]:
        return _in_one(words, self._style())

    def _phrases(self, words: tuple[str, ...]) -> tuple[Phrase, ...]:
        """One style for all, or for 60 % of utterances one per 1 to 3 words."""
        if self.rng.random() >= 0.6:
            return self._one_phrase(words)
        phrases, start = [], 0
        while start < len(words):
            end = start + self.rng.randint(1, 3)
            style = self._style()
            phrases.append(Phrase(words[start:end], style.rate, style.pitch))
            start = end
        return tuple(phrases)

    def _utterance(
        self, name: str, voices: dict, words: tuple[str, ...], phrases: Phrasing
    ) -> Utterance:
        speaker = self.rng.choice(sorted(voices))
        take = Take(voices[speaker], phrases(words))
        return Utterance(f"{speaker}-{name}", speaker, take)

    def _plain(self, name: str, count: int, voices: dict) -> SetPlan:
        return SetPlan(
            [
                self._utterance(
                    f"{name}{i:04d}",
                    voices,
                    self._new(grammar.draw).words,
                    self._phrases,
                )
                for i in range(count)
            ]
        )

    def _train(
        self, name: str, count: int, draw: Drawing, phrases: Phrasing
    ) -> SetPlan:
        """Sentences of no held-out set.

        The tokenizer learns most from speech whose style changes (``_phrases``) and
        that begins anywhere; a language model learns that speakers keep their style
        only from speech where they do (``_one_phrase``).
        """
        utterances: list[Utterance] = []
        while len(utterances) < count:
            sentence = draw(self.rng)
            if sentence.text not in self.held_out:
                utterance_name = f"{name}{len(utterances):05d}"
                utterances.append(
                    self._utterance(
                        utterance_name, TRAIN_VOICES, sentence.words, phrases
                    )
                )
        return SetPlan(utterances)

    def _swap(self) -> dict[str, SetPlan]:
        """The same text by the same voice at the same pitch, slow and fast."""
        sets = {"swap_slow": SetPlan(), "swap_fast": SetPlan()}
        rows = []
        for i in range(self.sizes.swap):
            words = self._new(grammar.one_clause).words
            speaker = self.rng.choice(sorted(TRAIN_VOICES))
            pitch = self._style().pitch
            names = []
            for kind, rate in (("slow", SLOW), ("fast", FAST)):
                take = Take(TRAIN_VOICES[speaker], (Phrase(words, rate, pitch),))
                names.append(f"{speaker}-swap{i:03d}-{kind}")
                sets[f"swap_{kind}"].utterances.append(
                    Utterance(names[-1], speaker, take)
                )
            rows.append(tuple(names))
        for plan in sets.values():
            plan.tables["pairs.tsv"] = (("slow", "fast"), rows)
        return sets

    def _swap_voices(self, texts: SetPlan) -> dict[str, SetPlan]:
        """The texts of a set, by a woman and by a man at the same rate.

        Chance of its own: other sets are the same without these.
        """
        sets = {"swap_woman": SetPlan(), "swap_man": SetPlan()}
        rows, rng = [], random.Random(len(texts.utterances))
        for i, utterance in enumerate(texts.utterances):
            words = utterance.take.phrases[0].words
            names = []
            for (name, plan), voices in zip(sets.items(), (WOMEN, MEN)):
                speaker = rng.choice(voices)
                take = Take(TRAIN_VOICES[speaker], _in_one(words, MIDDLE))
                names.append(f"{speaker}-{name}{i:03d}")
                plan.utterances.append(Utterance(names[-1], speaker, take))
            rows.append(tuple(names))
        for plan in sets.values():
            plan.tables["pairs.tsv"] = (("woman", "man"), rows)
        return sets

    def _pairs(self, kind: str, count: int) -> SetPlan:
        """The same text consistent, and with style or voice changed half-way.

        Both members are joined from two takes at the same word, so a joint tells
        nothing, and their first takes are one and the same.
        """
        plan, rows = SetPlan(), []
        for i in range(count):
            words = self._new(grammar.two_clauses).words
            speaker = self.rng.choice(sorted(TRAIN_VOICES))
            style = self._style()
            first = Take(TRAIN_VOICES[speaker], _in_one(words, style))
            changed = self._changed(kind, speaker, style, words)
            cut = (len(words) + 1) // 2
            names = [f"{speaker}-{kind}{i:03d}-{end}" for end in ("pos", "neg")]
            for name, ending in zip(names, (first, changed)):
                plan.utterances.append(Utterance(name, speaker, first, ending, cut))
            rows.append(tuple(names))
        plan.tables["pairs.tsv"] = (("positive", "negative"), rows)
        return plan

    def _changed(self, kind: str, speaker: str, style: Style, words) -> Take:
        """The take after the change: another voice, or a clearly different style."""
        if kind == "voice":
            others = sorted(set(TRAIN_VOICES) - {speaker})
            return Take(TRAIN_VOICES[self.rng.choice(others)], _in_one(words, style))
        other = self._style()
        while not LEAST_CHANGE < max(
            other.rate / style.rate, style.rate / other.rate
        ) or (abs(other.pitch - style.pitch) < 20):
            other = self._style()
        return Take(TRAIN_VOICES[speaker], _in_one(words, other))

    def _coherent(self) -> SetPlan:
        """The same beginning with an object that fits, and with one that does not."""
        plan, rows = SetPlan(), []
        for i in range(self.sizes.pairs_coherent):
            sentence = self._new(grammar.two_clauses)
            other = grammar.incoherent(sentence, self.rng)
            speaker = self.rng.choice(sorted(TRAIN_VOICES))
            style = self._style()
            names = [f"{speaker}-coherent{i:03d}-{end}" for end in ("pos", "neg")]
            for name, words in zip(names, (sentence.words, other.words)):
                take = Take(TRAIN_VOICES[speaker], _in_one(words, style))
                plan.utterances.append(Utterance(name, speaker, take))
            rows.append(tuple(names))
        plan.tables["pairs.tsv"] = (("positive", "negative"), rows)
        return plan

    def _prompts(self) -> SetPlan:
        """Two clauses, every other one slow; the first clause is the prompt."""
        plan, rows = SetPlan(), []
        for i in range(self.sizes.prompts):
            sentence = self._new(lambda rng: grammar.two_clauses(rng, full=True))
            speaker = self.rng.choice(sorted(TRAIN_VOICES))
            style = Style(SLOW if i % 2 == 0 else FAST, self._style().pitch)
            take = Take(TRAIN_VOICES[speaker], _in_one(sentence.words, style))
            name = f"{speaker}-prompt{i:03d}"
            plan.utterances.append(Utterance(name, speaker, take))
            rows.append((name, sentence.first_clause))
        plan.tables["prompt_words"] = (("utt", "n_words"), rows)
        return plan


def _in_one(words: tuple[str, ...], style: Style) -> tuple[Phrase, ...]:
    return (Phrase(words, style.rate, style.pitch),)
