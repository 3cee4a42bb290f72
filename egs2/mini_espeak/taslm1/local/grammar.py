"""Sentences in which subject, verb, object and place belong together.

Enters: a random generator. Leaves: sentences as tuples of words with the position
where their last object stands, so that an ending can be exchanged for one of another
topic. Every subject of a topic fits every verb and every object of it, and no other
topic shares its words: that is what makes an ending coherent or not.

No word pair is used that eSpeak says as one word (such as "in the").
"""

import random
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Topic:
    """Words that belong together."""

    subjects: tuple[str, ...]
    verbs: tuple[str, ...]
    objects: tuple[str, ...]
    place: str


def _topic(subjects: str, verbs: str, objects: str, place: str) -> Topic:
    return Topic(
        tuple(subjects.split()), tuple(verbs.split()), tuple(objects.split()), place
    )


TOPICS = (
    _topic("baker cook", "slices burns", "bread cake potato", "kitchen"),
    _topic("captain sailor", "steers anchors", "ship ferry submarine", "harbor"),
    _topic("doctor nurse", "heals bandages", "patient finger shoulder", "hospital"),
    _topic("teacher student", "reads writes", "letter story dictionary", "library"),
    _topic("farmer shepherd", "feeds counts", "goat cow buffalo", "stable"),
    _topic("gardener widow", "waters plants", "rose tulip geranium", "fountain"),
    _topic("musician composer", "plays tunes", "piano violin guitar", "theater"),
    _topic("king emperor", "rules defends", "empire island territory", "palace"),
    _topic("mechanic engineer", "repairs drives", "truck tractor automobile", "garage"),
    _topic("player champion", "throws kicks", "ball football basketball", "stadium"),
    _topic("detective policeman", "chases arrests", "thief burglar criminal", "bank"),
    _topic("painter artist", "sketches frames", "portrait landscape picture", "museum"),
    _topic("tailor grandmother", "sews mends", "shirt jacket uniform", "window"),
    _topic("scientist astronomer", "observes studies", "moon comet galaxy", "tower"),
)
DETERMINERS = ("the", "the", "a", "this", "our", "every")
SUBJECT_ADJECTIVES = ("old", "young", "happy", "clever", "famous", "little", "tired")
OBJECT_ADJECTIVES = ("new", "yellow", "enormous", "beautiful", "expensive", "dirty")
ADVERBS = ("often", "never", "always", "slowly", "carefully", "immediately")
TIMES = (
    ("today",),
    ("this", "morning"),
    ("every", "evening"),
    ("on", "saturday"),
    ("after", "dinner"),
    ("before", "midnight"),
)
PREPOSITIONS = ("near", "behind", "inside")
CONJUNCTIONS = ("and", "but", "while")


@dataclass(frozen=True)
class Sentence:
    """One sentence.

    Attributes:
        words: Its words, lower case.
        topic: Index of the topic of its last clause.
        object_index: Position of the last object among the words.
        first_clause: Words of the first clause (all words if there is one clause).
    """

    words: tuple[str, ...]
    topic: int
    object_index: int
    first_clause: int = field(default=0)

    @property
    def text(self) -> str:
        """The words with single spaces."""
        return " ".join(self.words)


def vocabulary() -> set[str]:
    """All words the grammar can say."""
    words = set(DETERMINERS + SUBJECT_ADJECTIVES + OBJECT_ADJECTIVES + ADVERBS)
    words.update(PREPOSITIONS + CONJUNCTIONS, *TIMES)
    for topic in TOPICS:
        words.update(topic.subjects + topic.verbs + topic.objects + (topic.place,))
    return words


def one_clause(rng: random.Random) -> Sentence:
    """Draw a sentence of one clause, 4 to 10 words."""
    index = rng.randrange(len(TOPICS))
    head, tail = [], []
    ornament = rng.random()
    if ornament < 0.15:
        head = list(rng.choice(TIMES))
    elif ornament < 0.3:
        tail = list(rng.choice(TIMES))
    elif ornament < 0.45:
        tail = _place(TOPICS[index], rng)
    clause = _subject(TOPICS[index], rng) + _verb_phrase(TOPICS[index], rng)
    words = head + clause + tail
    last = len(head) + len(clause) - 1
    return Sentence(tuple(words), index, last, len(words))


def two_clauses(rng: random.Random, full: bool = False) -> Sentence:
    """Draw a sentence of two clauses about one topic.

    Args:
        rng: Source of chance.
        full: Give the second clause a subject of its own.
    """
    index = rng.randrange(len(TOPICS))
    topic = TOPICS[index]
    first = _subject(topic, rng) + _verb_phrase(topic, rng)
    second = [rng.choice(CONJUNCTIONS) if full else "and"]
    if full:
        second += _subject(topic, rng)
    second += _verb_phrase(topic, rng)
    words = first + second
    return Sentence(tuple(words), index, len(words) - 1, len(first))


def draw(rng: random.Random) -> Sentence:
    """Draw a sentence of the training kind: mostly one clause, sometimes two."""
    chance = rng.random()
    if chance < 0.76:
        return one_clause(rng)
    return two_clauses(rng, full=chance > 0.91)


def draw_with_parts(rng: random.Random) -> Sentence:
    """As ``draw``, but three of ten begin anywhere in the first of two clauses.

    Recordings are cut where somebody stopped, not where sentences begin, and what
    continues a prompt begins in mid-sentence too.
    """
    if rng.random() >= 0.3:
        return draw(rng)
    whole = two_clauses(rng, full=rng.random() < 0.5)
    begin = rng.randint(1, whole.first_clause)
    return Sentence(
        whole.words[begin:],
        whole.topic,
        whole.object_index - begin,
        whole.first_clause - begin,
    )


def incoherent(sentence: Sentence, rng: random.Random) -> Sentence:
    """Exchange the last object for one of another topic."""
    others = [i for i in range(len(TOPICS)) if i != sentence.topic]
    other = rng.choice(TOPICS[rng.choice(others)].objects)
    words = list(sentence.words)
    words[sentence.object_index] = other
    words = _agree(words)
    return Sentence(
        tuple(words), sentence.topic, sentence.object_index, sentence.first_clause
    )


def _subject(topic: Topic, rng: random.Random) -> list[str]:
    words = [rng.choice(DETERMINERS)]
    if rng.random() < 0.33:
        words.append(rng.choice(SUBJECT_ADJECTIVES))
    return _agree(words + [rng.choice(topic.subjects)])


def _verb_phrase(topic: Topic, rng: random.Random) -> list[str]:
    words = [rng.choice(ADVERBS)] if rng.random() < 0.28 else []
    words += [rng.choice(topic.verbs), rng.choice(DETERMINERS)]
    if rng.random() < 0.33:
        words.append(rng.choice(OBJECT_ADJECTIVES))
    return _agree(words + [rng.choice(topic.objects)])


def _place(topic: Topic, rng: random.Random) -> list[str]:
    return [rng.choice(PREPOSITIONS), "the", topic.place]


def _agree(words: list[str]) -> list[str]:
    """Write "an" before a vowel and "a" elsewhere."""
    agreed = list(words)
    for i, (word, following) in enumerate(zip(words, words[1:])):
        if word in ("a", "an"):
            agreed[i] = "an" if following[0] in "aeio" else "a"
    return agreed
