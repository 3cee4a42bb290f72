"""Words and the end of speech, one text token after the other; data only.

Enters: the token chosen in a row of the language model. Leaves: what is written, which
word's code belongs to the row, what the next row reads, and whether this is the end.

Rows of a continuation with a delay of d words: the first d word starts bring the
codes of the prompt's last words, which are known ("pending"), the next ones bring
codes to be sampled. At the end of speech d more rows follow ("draining"), so that
every word gets its code; the first of them is the row that chose the end.

Where the text is given, its tokens take the place of the chosen ones.

Legend: N text tokens, d delay.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from espnet2_taste.slm.layouts.text_aligned import AbsTextAlignedLayout
from espnet2_taste.slm.limits import check_words
from espnet2_taste.slm.vocabulary import VocabularyMasks


@dataclass(frozen=True)
class StopRules:
    """When speech ends.

    Attributes:
        end_id: Text token that ends speech, None if the model has learned none.
        max_words: Most words.
        min_words: Fewest words before ``end_id`` may be chosen.
        sentence_end_after: Words after which a full stop ends speech too, or None.
        reference_compat: Published behaviour: the limit of words cuts the word after
            it at its first token, ``end_id`` begins no word, and the rows after the
            end read tokens that are not written instead of the text padding.
    """

    end_id: int | None
    max_words: int = 32
    min_words: int = 1
    sentence_end_after: int | None = None
    reference_compat: bool = False

    @property
    def max_tokens(self) -> int:
        """Most tokens, in case that no new word ever begins."""
        return 16 * self.max_words

    def __post_init__(self):
        check_words(self.min_words, self.max_words)

    @classmethod
    def published(cls, extra_words: int, stop_id: int | None = None) -> "StopRules":
        """The rules of the published system.

        Args:
            extra_words: Words after which a full stop ends speech; three times as
                many end it in any case.
            stop_id: A token that ends speech at once.

        Returns:
            The rules.
        """
        return cls(stop_id, 3 * extra_words, 0, extra_words, reference_compat=True)


@dataclass(frozen=True)
class GivenText:
    """Text that is written whatever the model would choose; speech ends behind it.

    Attributes:
        tokens: Text ids, N of them.
        starts: Whether each begins a word, N of them; the first one does.
    """

    tokens: tuple[int, ...]
    starts: tuple[bool, ...]

    @classmethod
    def of(cls, tokens: Sequence[int], word_ids: Sequence[int]) -> "GivenText":
        """Text ids (N,) with the word of each (N,)."""
        before = (None, *word_ids[:-1])
        starts = tuple(word != last for word, last in zip(word_ids, before))
        return cls(tuple(tokens), starts)


@dataclass
class StepperState:
    """One utterance between two rows.

    Attributes:
        given: Its text where that is known before.
        words: Words begun.
        starts: For each row so far, whether it began a word (or a draining row).
        ending: The next row drains whatever it chooses.
        countdown: Draining rows left, None while speaking.
    """

    given: GivenText | None = None
    words: int = 0
    starts: list[bool] = field(default_factory=list)
    ending: bool = False
    countdown: int | None = None

    @property
    def rows_given(self) -> int:
        """Rows left whose token is given."""
        return len(self.given.tokens) - len(self.starts) if self.given else 0

    def take(self, token: int) -> int:
        """The given token of this row; where there is none, the chosen one."""
        return self.given.tokens[-self.rows_given] if self.rows_given > 0 else token


@dataclass(frozen=True)
class Step:
    """What follows from one chosen token.

    Attributes:
        emits_text: The token is part of the text.
        starts_word: It begins a word.
        due: Whose code belongs to this row: None for no one, a negative number for an
            entry of the pending codes, else the generated word to be sampled.
        reads_text: The next row reads the token, else the text padding.
        done: There is no next row.
    """

    emits_text: bool
    starts_word: bool
    due: int | None
    reads_text: bool
    done: bool


class Stepper:
    """Advances utterances.

    Args:
        layout: Says where codes belong.
        rules: When speech ends.
        masks: Of the vocabulary.
    """

    def __init__(
        self, layout: AbsTextAlignedLayout, rules: StopRules, masks: VocabularyMasks
    ):
        self.layout = layout
        self.rules = rules
        self.word_start: Sequence[bool] = masks.word_start.tolist()
        self.sentence_end: Sequence[bool] = masks.sentence_end.tolist()

    def advance(self, state: StepperState, token: int) -> Step:
        """Take one token.

        Args:
            state: Of the utterance; it is changed.
            token: Text id chosen in this row.

        Returns:
            What follows from it.
        """
        forced = state.ending
        begins = state.words == 0 or self._begins(state, token)
        compat = self.rules.reference_compat and state.given is None
        draining = forced or self._ends(state, token, begins)
        start = begins or forced
        if draining and not compat:
            start = True
        if draining:
            self._count_down(state)
        state.starts.append(start)
        state.ending = draining or self._ends_after(state, token, start)
        written = not draining
        state.words += start and (written or compat)
        done = draining and state.countdown <= 0
        lost = draining and state.countdown < 0  # no delay: every word has its code
        return Step(
            emits_text=written,
            starts_word=start and written,
            due=None if lost else self.layout.due(state.starts),
            reads_text=written or compat,
            done=done,
        )

    def _begins(self, state: StepperState, token: int) -> bool:
        """Whether the token begins a word."""
        if state.rows_given > 0:
            return state.given.starts[-state.rows_given]
        return self.word_start[token]

    def _ends(self, state: StepperState, token: int, begins: bool) -> bool:
        """Whether the token itself ends speech, now."""
        if state.given is not None:
            return state.rows_given <= 0
        if token == self.rules.end_id or len(state.starts) >= self.rules.max_tokens:
            return True
        full = state.words >= self.rules.max_words
        return full and begins and not self.rules.reference_compat

    def _ends_after(self, state: StepperState, token: int, start: bool) -> bool:
        """Whether speech ends behind the token; words are those before this row."""
        rules, words = self.rules, state.words
        if state.given is not None:
            return False
        if not rules.reference_compat:
            words += start
        enough = rules.sentence_end_after
        if enough is not None and words >= enough and self.sentence_end[token]:
            return True
        return rules.reference_compat and words >= rules.max_words

    def _count_down(self, state: StepperState) -> None:
        if state.countdown is None:
            state.countdown = self.layout.delay
        state.countdown -= 1
