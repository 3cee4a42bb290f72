"""What listeners hear and rate: the design of a listening test, without files.

Enters: names of systems and of the utterances that all of them have. Leaves: trials
with opaque ids, so that neither page nor file names tell a listener which system is
heard, and a key that does.

MOS: one recording a trial, 1 to 5. MUSHRA: all systems of one utterance in a trial, 0
to 100, beside an open reference that is also hidden among them (ITU-R BS.1534; anchors
are systems like any other).
"""

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass

REFERENCE = "reference"
"""System of natural recordings: hidden among the others, and used for screening."""
CONTEXT = "context"
"""Recordings that are heard before and not rated, e.g. the prompt of a continuation."""
GRADES = ("Bad", "Poor", "Fair", "Good", "Excellent")


@dataclass(frozen=True)
class Clip:
    """One recording as a listener gets it.

    Attributes:
        id: Opaque name.
        system: Whose it is.
        utterance: Which one.
    """

    id: str
    system: str
    utterance: str


@dataclass(frozen=True)
class Trial:
    """What is shown at once.

    Attributes:
        id: Opaque name.
        clips: Recordings to rate.
        reference: Open reference, or None.
        context: What is heard before, or None.
    """

    id: str
    clips: tuple[Clip, ...]
    reference: Clip | None = None
    context: Clip | None = None


QUIET = (
    "Use headphones in a quiet room, and do not change the volume once you have "
    "started."
)


@dataclass(frozen=True)
class ListeningTest:
    """A kind of listening test.

    Attributes:
        name: By which studies are known.
        scale: How the page asks: ``low``, ``high`` and ``choices`` or ``bands``.
        instructions: Shown before the test, one paragraph an item.
        reference_below: A hidden reference rated lower than this counts as missed.
        side_by_side: All systems of an utterance in one trial, beside an open
            reference that is also hidden among them; else one recording a trial.
    """

    name: str
    scale: dict
    instructions: tuple[str, ...]
    reference_below: float
    side_by_side: bool

    def trials(
        self, utterances: Sequence[str], systems: Sequence[str], namer: "Namer"
    ) -> list[Trial]:
        """Trials of the test.

        Args:
            utterances: Chosen ones.
            systems: To be rated, the reference among them if there is one.
            namer: Gives clips.

        Returns:
            All of them; the page chooses the order.
        """
        together, trials = self.side_by_side, []
        for name in utterances:
            for group in [systems] if together else [[system] for system in systems]:
                trial = Trial(
                    namer.id("trial", *([] if together else group), name),
                    tuple(namer.clip(system, name) for system in group),
                    namer.clip(REFERENCE, name, "open") if together else None,
                    namer.context(name),
                )
                trials.append(trial)
        return trials


MOS = ListeningTest(
    "MosTest",
    {
        "low": 1,
        "high": 5,
        "choices": [{"score": s, "label": label} for s, label in enumerate(GRADES, 1)],
    },
    (
        "You will hear short recordings of speech. Rate how natural and pleasant each "
        "one sounds, from 1 (bad) to 5 (excellent). If something is played before it, "
        "rate how well the recording goes on from there.",
        QUIET,
    ),
    reference_below=3.0,
    side_by_side=False,
)
MUSHRA = ListeningTest(
    "MushraTest",
    {"low": 0, "high": 100, "bands": list(GRADES)},
    (
        "On each page you will hear a reference and several other recordings of the "
        "same sentence. Rate each recording from 0 (bad) to 100 (excellent) by how "
        "near it is to the reference.",
        "One of the recordings is the reference itself and should get 100. Listen as "
        "often as you like, and compare the recordings with one another.",
        QUIET,
    ),
    reference_below=90.0,
    side_by_side=True,
)
TESTS = {"mos": MOS, "mushra": MUSHRA}


class Namer:
    """Gives opaque names.

    Args:
        secret: Not on the page; the same one gives the same names.
        with_context: Something is heard before each recording.
    """

    def __init__(self, secret: str, with_context: bool) -> None:
        self.secret = secret
        self.with_context = with_context

    def id(self, *parts: str) -> str:
        """Twelve hexadecimal digits for anything."""
        text = "\0".join((self.secret, *parts))
        return hashlib.sha256(text.encode("utf-8")).hexdigest()[:12]

    def clip(self, system: str, utterance: str, use: str = "rated") -> Clip:
        """A recording of a system; each use of it has a name of its own."""
        return Clip(self.id(use, system, utterance), system, utterance)

    def context(self, utterance: str) -> Clip | None:
        """What is heard before."""
        return self.clip(CONTEXT, utterance) if self.with_context else None


def choose_utterances(
    by_system: dict[str, set[str]], count: int, seed: int
) -> tuple[list[str], dict[str, str]]:
    """Draw utterances that every system has.

    Args:
        by_system: Utterances of each system, the context among them.
        count: How many; 0 takes all.
        seed: Of the draw.

    Returns:
        The chosen ones, and those that some system lacks with the reason.

    Raises:
        ValueError: Too few are shared by all.
    """
    everything = set().union(*by_system.values())
    shared = sorted(everything.intersection(*by_system.values()))
    lacking = {
        name: "not in "
        + ", ".join(s for s, own in by_system.items() if name not in own)
        for name in sorted(everything - set(shared))
    }
    if len(shared) < max(count, 1):
        found = ", ".join(f"{name} {len(own)}" for name, own in by_system.items())
        raise ValueError(
            f"--utterances {count}: expected as many in every system, found "
            f"{len(shared)} ({found}); ask for fewer, or leave out a system"
        )
    chosen = random.Random(seed).sample(shared, count) if count else shared
    return sorted(chosen), lacking
