"""Trial lists in Kaldi's format, ``enrolment test target|nontarget``."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from xvkd.config import limits
from xvkd.errors import UserError

# Pairs of utterances that are looked at one by one: more would take gigabytes.
MOST_PAIRS = 1 << 26
MOST_DRAWS = 100


@dataclass
class TrialConfig:
    """Schema of the section ``trials`` of a corpus's YAML."""

    max_nontarget: int = limits(1)  # non-target trials of a list; a random part where there are more
    enrol_utterances: int = limits(1)  # utterances from which a model of the list *_multi is enrolled
    seed: int = limits(0)


@dataclass(frozen=True)
class Utterance:
    """What trials are made of; empty texts where session or gender are not known."""

    id: str
    speaker: str
    session: str
    gender: str


@dataclass
class TrialList:
    """Trials, and the utterances of each model where models are enrolled from several.

    A trial is enrolment, test and whether it is a target; None where the list does not tell.
    """

    trials: Sequence[tuple[str, str, bool | None]]
    enrolments: dict[str, list[str]] | None


def single_trials(utterances: Sequence[Utterance], config: TrialConfig) -> TrialList:
    """Trials of one utterance against one other.

    Targets are all pairs of a speaker's utterances from different sessions. Where no speaker has two
    sessions, all pairs of a speaker are targets. Non-targets are pairs of different speakers of the
    same gender (of any, where it is not known); of more than ``max_nontarget``, a random part.

    Raises:
        UserError: no target or no non-target trial can be made.
    """
    ordered = sorted(utterances, key=lambda utterance: utterance.id)
    across = _has_sessions(ordered)
    targets = [
        (a.id, b.id, True)
        for _, group in itertools.groupby(ordered, key=lambda utterance: utterance.speaker)
        for a, b in itertools.combinations(group, 2)
        if not across or a.session != b.session
    ]
    speaker = _indices([utterance.speaker for utterance in ordered])
    gender = _indices([utterance.gender for utterance in ordered])

    def impostors(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return (first < second) & (speaker[first] != speaker[second]) & (gender[first] == gender[second])

    first, second = _some_pairs(len(ordered), len(ordered), impostors, config, stream=0)
    nontargets = [(ordered[a].id, ordered[b].id, False) for a, b in zip(first, second, strict=True)]
    return TrialList(_checked(targets, nontargets), None)


def multi_trials(utterances: Sequence[Utterance], config: TrialConfig) -> TrialList:
    """Trials of models, one a speaker, against utterances.

    A model is enrolled from the speaker's first ``enrol_utterances`` utterances, of one session if the
    first has so many. Tests are the speaker's utterances of other sessions (of all, where no speaker has
    two), and those same utterances of other speakers of the same gender.

    Raises:
        UserError: no target or no non-target trial can be made.
    """
    ordered = sorted(utterances, key=lambda utterance: utterance.id)
    across = _has_sessions(ordered)
    enrolments: dict[str, list[str]] = {}
    tests: list[Utterance] = []
    genders: dict[str, str] = {}
    for speaker, group in itertools.groupby(ordered, key=lambda utterance: utterance.speaker):
        members = list(group)
        enrolled = members[: config.enrol_utterances]
        used = {utterance.session for utterance in enrolled}
        left = [u for u in members[config.enrol_utterances :] if not across or u.session not in used]
        if left:
            enrolments[speaker] = [utterance.id for utterance in enrolled]
            genders[speaker] = enrolled[0].gender
            tests += left
    targets = [(utterance.speaker, utterance.id, True) for utterance in tests]
    models = list(enrolments)
    of_model = _indices([*models, *(utterance.speaker for utterance in tests)])
    of_gender = _indices([*(genders[m] for m in models), *(utterance.gender for utterance in tests)])

    def impostors(model: np.ndarray, test: np.ndarray) -> np.ndarray:
        test = len(models) + test
        return (of_model[model] != of_model[test]) & (of_gender[model] == of_gender[test])

    model, test = _some_pairs(len(models), len(tests), impostors, config, stream=1)
    nontargets = [(models[m], tests[t].id, False) for m, t in zip(model, test, strict=True)]
    return TrialList(_checked(targets, nontargets), enrolments)


def _has_sessions(utterances: Sequence[Utterance]) -> bool:
    """True if any speaker has two sessions; utterances without a known one are of one session."""
    return len({(u.speaker, u.session) for u in utterances}) > len({u.speaker for u in utterances})


def _indices(names: Sequence[str]) -> np.ndarray:
    return np.unique(np.array(names), return_inverse=True)[1]


def _some_pairs(
    rows: int, columns: int, wanted: Callable[[np.ndarray, np.ndarray], np.ndarray], config: TrialConfig, stream: int
) -> tuple[np.ndarray, np.ndarray]:
    """The pairs of a row and a column that are wanted, or as many of them as a list may have, at random and in order.

    Of a few thousand utterances all pairs are looked at. Of more, whose pairs would fill the memory, pairs are drawn
    until there are enough of them.
    """
    if rows * columns <= MOST_PAIRS:
        first, second = (grid.ravel() for grid in np.indices((rows, columns), np.int32))
        chosen = wanted(first, second)
        return _random_part(first[chosen], second[chosen], config, stream)
    random = np.random.default_rng([config.seed, stream])
    pairs = np.empty(0, np.int64)
    for _ in range(MOST_DRAWS):
        first, second = (random.integers(size, size=2 * config.max_nontarget) for size in (rows, columns))
        chosen = wanted(first, second)
        pairs = np.unique(np.concatenate([pairs, first[chosen] * columns + second[chosen]]))
        if len(pairs) >= config.max_nontarget:
            break
    pairs = np.sort(random.permutation(pairs)[: config.max_nontarget])
    return pairs // columns, pairs % columns


def _random_part(
    first: np.ndarray, second: np.ndarray, config: TrialConfig, stream: int
) -> tuple[np.ndarray, np.ndarray]:
    if len(first) <= config.max_nontarget:
        return first, second
    random = np.random.default_rng([config.seed, stream])
    kept = np.sort(random.choice(len(first), config.max_nontarget, replace=False))
    return first[kept], second[kept]


def _checked(
    targets: list[tuple[str, str, bool]], nontargets: list[tuple[str, str, bool]]
) -> list[tuple[str, str, bool]]:
    if not targets or not nontargets:
        raise UserError(
            f"{len(targets)} target and {len(nontargets)} non-target trials: at least one of each is needed, "
            "that is two speakers (of one gender, if it is known) and one with two utterances"
        )
    return sorted(targets + nontargets)
