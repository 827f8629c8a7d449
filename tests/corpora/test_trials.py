"""Trial lists: which pairs there are, worked out by hand and by loops over small sets."""

import dataclasses
import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xvkd.corpora import trials
from xvkd.corpora.trials import TrialConfig, Utterance, multi_trials, single_trials
from xvkd.errors import UserError

ALL = TrialConfig(max_nontarget=10**6, enrol_utterances=3, seed=0)


def utterances_of(*descriptions):
    """``a1.2 f``: utterance 2 of speaker a in session 1, a woman. Ids sort by speaker, session, utterance."""
    made = []
    for description in descriptions:
        name, _, gender = description.partition(" ")
        made.append(Utterance(name, name[0], f"{name[0]}-s{name[1]}" if name[1] != "_" else "", gender))
    return made


def split(trials):
    targets = [(a, b) for a, b, target in trials if target]
    return targets, [(a, b) for a, b, target in trials if not target]


def test_targets_are_across_sessions_alone():
    utterances = utterances_of("a1.1", "a1.2", "a2.1", "b1.1", "b2.1", "b2.2", "c1.1", "c1.2")
    targets, nontargets = split(single_trials(utterances, ALL).trials)
    assert targets == [("a1.1", "a2.1"), ("a1.2", "a2.1"), ("b1.1", "b2.1"), ("b1.1", "b2.2")]
    # Speaker c, of one session, gives impostors: 3 x 3 + 3 x 2 + 3 x 2 pairs of different speakers.
    assert len(nontargets) == 21 and ("a1.1", "c1.2") in nontargets and ("c1.1", "c1.2") not in nontargets


@pytest.mark.parametrize("session", ["1", "_"])
def test_with_one_session_each_all_pairs_are_targets(session):
    utterances = utterances_of(*(f"{speaker}{session}.{i}" for speaker in "ab" for i in range(3)))
    targets, nontargets = split(single_trials(utterances, ALL).trials)
    s = session
    assert targets == [(f"{x}{s}.{i}", f"{x}{s}.{j}") for x in "ab" for i, j in [(0, 1), (0, 2), (1, 2)]]
    assert len(nontargets) == 9


def test_impostors_have_the_same_gender():
    utterances = utterances_of("a1.1 f", "a2.1 f", "b1.1 m", "c1.1 m", "d1.1 f")
    _, nontargets = split(single_trials(utterances, ALL).trials)
    assert nontargets == [("a1.1", "d1.1"), ("a2.1", "d1.1"), ("b1.1", "c1.1")]


def test_a_random_part_of_the_impostors_is_reproducible():
    utterances = utterances_of(*(f"{speaker}{session}.1" for speaker in "abcdefgh" for session in "123"))
    everything = single_trials(utterances, ALL).trials
    targets, nontargets = split(everything)
    few = dataclasses.replace(ALL, max_nontarget=50)
    part = single_trials(utterances, few).trials
    part_targets, part_nontargets = split(part)
    assert part_targets == targets and len(part_nontargets) == 50 < len(nontargets)
    assert set(part_nontargets) < set(nontargets)
    shuffled = random.Random(1).sample(utterances, len(utterances))
    assert single_trials(shuffled, few).trials == part
    assert single_trials(utterances, dataclasses.replace(few, seed=1)).trials != part
    # Speakers at the end of the alphabet have their share.
    assert {b[0] for _, b in part_nontargets} == set("bcdefgh")
    exactly = dataclasses.replace(ALL, max_nontarget=len(nontargets))
    assert single_trials(utterances, exactly).trials == everything


descriptions = st.lists(
    st.tuples(st.sampled_from("abcd"), st.sampled_from("_123"), st.integers(0, 9), st.sampled_from(["", "f", "m"])),
    min_size=2, max_size=14, unique_by=lambda t: t[:3],
)  # fmt: skip


def made_of(drawn):
    """Utterances in which a speaker has one gender."""
    genders = {}
    for speaker, _, _, gender in drawn:
        genders.setdefault(speaker, gender)
    return utterances_of(*(f"{speaker}{session}.{i} {genders[speaker]}" for speaker, session, i, _ in drawn))


def many_sessions(utterances):
    groups = itertools.groupby(sorted(utterances, key=lambda u: u.speaker), key=lambda u: u.speaker)
    return any(len({u.session for u in group}) > 1 for _, group in groups)


@settings(max_examples=200)
@given(descriptions)
def test_single_trials_are_all_pairs_that_qualify(drawn):
    """By loops: no pair is missing, stands twice or pairs an utterance with itself."""
    utterances = made_of(drawn)
    across, expected = many_sessions(utterances), []
    for a, b in itertools.combinations(sorted(utterances, key=lambda u: u.id), 2):
        if a.speaker == b.speaker and (a.session != b.session or not across):
            expected.append((a.id, b.id, True))
        if a.speaker != b.speaker and a.gender == b.gender:
            expected.append((a.id, b.id, False))
    if len({target for _, _, target in expected}) < 2:
        with pytest.raises(UserError, match="at least one of each is needed"):
            single_trials(utterances, ALL)
    else:
        assert single_trials(utterances, ALL).trials == sorted(expected)


def test_models_are_enrolled_from_the_first_three_and_tested_on_other_sessions():
    utterances = utterances_of(
        "a1.1", "a1.2", "a1.3", "a1.4", "a2.1", "a3.1", "b1.1", "b1.2", "b1.3", "b2.1", "c1.1", "c1.2", "c1.3", "c1.4",
    )  # fmt: skip
    made = multi_trials(utterances, ALL)
    # Speaker c has nothing to be tested on: neither a model nor a test.
    assert made.enrolments == {"a": ["a1.1", "a1.2", "a1.3"], "b": ["b1.1", "b1.2", "b1.3"]}
    targets, nontargets = split(made.trials)
    assert targets == [("a", "a2.1"), ("a", "a3.1"), ("b", "b2.1")]
    assert nontargets == [("a", "b2.1"), ("b", "a2.1"), ("b", "a3.1")]


def test_enrolment_over_two_sessions_excludes_both():
    utterances = utterances_of("a1.1", "a1.2", "a2.1", "a2.2", "a3.1", "b1.1", "b1.2", "b1.3", "b2.1")
    targets, _ = split(multi_trials(utterances, ALL).trials)
    assert targets == [("a", "a3.1"), ("b", "b2.1")]


def test_with_one_session_each_models_are_tested_on_the_rest():
    utterances = utterances_of(*(f"{speaker}_.{i}" for speaker in "ab" for i in range(5)))
    made = multi_trials(utterances, ALL)
    targets, nontargets = split(made.trials)
    assert targets == [("a", "a_.3"), ("a", "a_.4"), ("b", "b_.3"), ("b", "b_.4")]
    assert nontargets == [("a", "b_.3"), ("a", "b_.4"), ("b", "a_.3"), ("b", "a_.4")]


def test_impostors_of_models_have_the_same_gender_and_are_a_random_part():
    genders = dict(zip("abcdefgh", "fmfmfmfm", strict=True))
    utterances = utterances_of(*(f"{x}{s}.{i} {genders[x]}" for x in genders for s in "12" for i in range(3)))
    _, nontargets = split(multi_trials(utterances, ALL).trials)
    assert len(nontargets) == 8 * 3 * 3 and all(genders[model] == genders[test[0]] for model, test in nontargets)
    few = dataclasses.replace(ALL, max_nontarget=20)
    part = multi_trials(utterances, few)
    assert part == multi_trials(utterances[::-1], few)
    assert len(split(part.trials)[1]) == 20 and set(split(part.trials)[1]) < set(nontargets)
    assert part != multi_trials(utterances, dataclasses.replace(few, seed=1))


@settings(max_examples=100)
@given(descriptions, st.integers(1, 3))
def test_multi_trials_never_test_on_what_was_enrolled(drawn, enrol_utterances):
    utterances = made_of(drawn)
    by_id = {utterance.id: utterance for utterance in utterances}
    try:
        made = multi_trials(utterances, dataclasses.replace(ALL, enrol_utterances=enrol_utterances))
    except UserError:
        return
    across = many_sessions(utterances)
    assert len(made.trials) == len({(model, test) for model, test, _ in made.trials})
    for model, enrolled in made.enrolments.items():
        own = sorted(u.id for u in utterances if u.speaker == model)
        assert enrolled == own[:enrol_utterances]
    tests = {test for _, test, _ in made.trials}
    enrolled = {utterance for members in made.enrolments.values() for utterance in members}
    assert not tests & enrolled
    for model, test, target in made.trials:
        assert target == (by_id[test].speaker == model)
        sessions = {by_id[utterance].session for utterance in made.enrolments[model]}
        assert not (target and across and by_id[test].session in sessions)
        assert target or by_id[test].gender == by_id[made.enrolments[model][0]].gender


@pytest.mark.parametrize("make", [single_trials, multi_trials])
@pytest.mark.parametrize(
    "utterances",
    [
        [],
        utterances_of("a1.1", "b1.1"),  # nobody has two
        utterances_of(*(f"a{s}.{i}" for s in "12" for i in range(4))),  # a single speaker
        utterances_of(*(f"{x}{s}.{i} {'f' if x == 'a' else 'm'}" for x in "ab" for s in "12" for i in range(4))),
    ],
)
def test_a_set_without_trials_of_both_kinds_is_told(make, utterances):
    with pytest.raises(UserError, match=r"\d+ target and \d+ non-target trials: at least one of each is needed"):
        make(utterances, ALL)


def test_of_very_many_utterances_pairs_are_drawn(monkeypatch):
    """Not all pairs are looked at, which would take memory by their square; those that are drawn are as wanted."""
    utterances = [
        Utterance(f"s{n % 40:02d}-{n:04d}", f"s{n % 40:02d}", str(n // 200), "mf"[n % 2]) for n in range(400)
    ]
    known = {utterance.id: utterance for utterance in utterances}
    config = TrialConfig(500, 3, 0)
    looked_at = single_trials(utterances, config), multi_trials(utterances, config)
    monkeypatch.setattr(trials, "MOST_PAIRS", 10)
    drawn = single_trials(utterances, config), multi_trials(utterances, config)
    for one, other in zip(looked_at, drawn, strict=True):
        assert [t for t in one.trials if t[2]] == [t for t in other.trials if t[2]]
        nontargets = [(enrol, test) for enrol, test, target in other.trials if not target]
        assert len(nontargets) == len(set(nontargets)) == 500 and nontargets == sorted(nontargets)
        for enrol, test in nontargets:
            one_side = known[enrol if other.enrolments is None else other.enrolments[enrol][0]]
            assert one_side.speaker != known[test].speaker and one_side.gender == known[test].gender

