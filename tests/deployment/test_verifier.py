"""The verifier: its documentation runs, its scores are the recipe's, and what cannot be used is told."""

import doctest

import numpy as np
import pytest
from backend_files import command
from deployed_files import DIM, MINIMUM, RATE, SILENCE, voice, write_calibration, write_model, write_voice

from xvkd.backend.backend import Backend
from xvkd.backend.plda import Plda
from xvkd.deployment import Verifier, embedder, recordings, verifier
from xvkd.errors import UserError
from xvkd.features import decoding
from xvkd.features.audio import read_audio
from xvkd.kaldi.plda_format import read_plda, write_plda


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def three(model):
    """Three speakers, enrolled with one, two and three recordings, in memory."""
    three = Verifier(model)
    for speaker in range(3):
        three.enrol(f"S{speaker}", [voice(speaker, take) for take in range(speaker + 1)])
    return three


def test_its_documentation_runs(tmp_path, monkeypatch):
    write_model(tmp_path)
    for speaker, name in enumerate(("alice", "bob")):
        for take in (1, 2, 3):
            write_voice(tmp_path / f"{name}{take}.wav", speaker, take)
    monkeypatch.chdir(tmp_path)
    found = doctest.testmod(verifier)
    assert found.attempted > 5 and not found.failed


def test_scores_are_those_of_the_recipe(three, model, tmp_path):
    """score_trials.py on the embeddings, with the back end of a model into which mean and LDA are folded."""
    plda = Plda(*read_plda(model.with_name("plda")))
    Backend(np.zeros(DIM, np.float32), np.eye(DIM, dtype=np.float32), plda).save(tmp_path / "backend")
    utterances = {f"s{s}-{take}": voice(s, take) for s in range(3) for take in range(4)}
    with open(tmp_path / "embeddings", "w") as table:
        for key, samples in utterances.items():
            table.write(f"{key} [ {' '.join(map(repr, three.embed(samples).tolist()))} ]\n")
    enrolled = "".join(f"S{s} {' '.join(f's{s}-{take}' for take in range(s + 1))}\n" for s in range(3))
    (tmp_path / "enrolments").write_text(enrolled)
    trials = [(f"S{s}", f"s{t}-3") for s in range(3) for t in range(3)]
    (tmp_path / "trials").write_text("".join(f"{name} {test}\n" for name, test in trials))
    command(
        "score_trials.py", "--scoring=plda", f"--backend={tmp_path}/backend", f"--enrolments={tmp_path}/enrolments",
        tmp_path / "trials", f"ark:{tmp_path}/embeddings", f"ark:{tmp_path}/embeddings", tmp_path / "scores",
    )  # fmt: skip
    lines = [line.split() for line in (tmp_path / "scores").read_text().splitlines()]
    theirs = {(name, test): float(score) for name, test, score in lines}
    ours = {(name, test): three.verify(name, utterances[test]).score for name, test in trials}
    assert theirs.keys() == ours.keys()
    np.testing.assert_allclose([ours[key] for key in trials], [theirs[key] for key in trials], rtol=1e-5, atol=1e-4)


def test_speakers_are_told_apart(three):
    for speaker in range(3):
        test = voice(speaker, 9)
        assert [three.verify(f"S{other}", test).accepted for other in range(3)] == [s == speaker for s in range(3)]
        ranking = three.identify(test)
        assert ranking[0].name == f"S{speaker}" and [one.accepted for one in ranking] == [True, False, False]
        assert [one.score for one in ranking] == sorted((one.score for one in ranking), reverse=True)


def test_a_stranger_is_nobody(three):
    ranking = three.identify(voice(7, 0))
    assert not any(one.accepted for one in ranking) and sum(one.probability for one in ranking) < 0.5


def test_probabilities_follow_from_the_calibration_and_the_prior(model, three):
    decision = three.verify("S0", voice(1, 0))
    assert decision.llr == pytest.approx(0.5 * decision.score + 1.0)
    assert decision.probability == pytest.approx(1 / (1 + np.exp(-decision.llr)))
    assert (decision.operating_point, decision.threshold, decision.prior) == ("eer", -2.0, 0.5)
    strict = Verifier(model, operating_point="0.01")
    strict.enrol("S0", [voice(0, 0)])
    decision = strict.verify("S0", voice(0, 1))
    assert (decision.threshold, decision.prior) == (4.0, 0.01)
    assert decision.probability == pytest.approx(1 / (1 + 99 * np.exp(-decision.llr)))
    other = Verifier(model, operating_point="0.01", prior=0.3)
    other.enrol("S0", [voice(0, 0)])
    assert other.verify("S0", voice(0, 1)).probability > decision.probability


def test_probabilities_of_all_and_a_stranger_add_up(model):
    """Two speakers whose ratios are known: shares of the prior, and the rest for a stranger."""
    both = Verifier(model, prior=0.4)
    both.enrol("A", [voice(0, 0)])
    both.enrol("B", [voice(1, 0)])
    ranking = both.identify(voice(0, 1))
    weights = [0.2 * np.exp(one.llr) for one in ranking]
    expected = [weight / (sum(weights) + 0.6) for weight in weights]
    assert [one.probability for one in ranking] == pytest.approx(expected)
    # A ratio that is larger by log 2 is asked for among two.
    assert ranking[0].threshold == pytest.approx(-2.0 + np.log(2) / 0.5)


def test_adding_recordings_is_as_enrolling_all_at_once(model):
    takes = [voice(0, take) for take in range(5)]
    once, twice = Verifier(model), Verifier(model)
    once.enrol("A", takes)
    twice.enrol("A", takes[:2])
    assert twice.enrol("A", takes[2:], add=True) == 5
    assert twice.verify("A", voice(0, 8)).score == pytest.approx(once.verify("A", voice(0, 8)).score)


def test_files_are_read_as_the_recipe_reads_them(model, tmp_path):
    """Any rate; the network gets what the recipe's features get, at full scale 1."""
    for rate, ending in ((8000, "wav"), (16000, "flac"), (44100, "wav"), (48000, "ogg")):
        path = write_voice(tmp_path / f"{rate}.{ending}", 0, 1, rate=rate)
        samples = recordings.read_recording(path, RATE)
        np.testing.assert_array_equal(samples * 32768, read_audio(path, RATE))
        assert samples.dtype == np.float32 and np.abs(samples).max() <= 1
        assert Verifier(model).embed(path).tolist() == Verifier(model).embed(samples).tolist()


@pytest.mark.parametrize("silence", SILENCE)
def test_silence_and_what_is_too_short_are_told(silence, tmp_path):
    """Whatever the network does without a voiced frame."""
    network = Verifier(write_model(tmp_path, silence=silence))
    with pytest.raises(UserError, match=r"recording: no speech is found in its 1\.0 s; record it again"):
        network.embed(np.zeros(RATE, np.float32))
    with pytest.raises(UserError, match=r"recording: 0\.40 s is too short: at least 0\.40 s is needed"):
        network.embed(voice(0, 0)[: MINIMUM - 1])
    assert np.isfinite(network.embed(voice(0, 0)[:MINIMUM])).all()


def test_what_says_nothing_is_too_short_whatever_the_network_takes(tmp_path):
    with pytest.raises(UserError, match=r"0\.29 s is too short: at least 0\.30 s is needed"):
        Verifier(write_model(tmp_path, minimum_samples=400, sample_rate="16000.0")).embed(voice(0, 0)[:4640])


def test_arrays_that_are_no_samples_are_told(model):
    network, samples = Verifier(model), voice(0, 0)
    for wrong in (samples[None], (samples * 32768).astype(np.int16), np.where(samples > 0.2, np.nan, samples)):
        with pytest.raises(UserError, match=r"where one channel of finite floats in \[-1, 1\] at 16000 Hz is needed"):
            network.embed(wrong)
    assert network.embed(samples.astype(np.float64)).tolist() == network.embed(samples).tolist()


def test_a_long_recording_is_averaged_over_parts_with_speech(model, monkeypatch):
    monkeypatch.setattr(embedder, "LONGEST_PART", 1.0)
    network, speech = Verifier(model), voice(0, 0, seconds=2.0)
    halves = [network.embed(half) for half in np.split(speech, 2)]
    np.testing.assert_allclose(network.embed(speech), np.mean(halves, axis=0), rtol=1e-6)
    with_pause = np.concatenate([speech[:RATE], np.zeros(RATE, np.float32)])
    np.testing.assert_array_equal(network.embed(with_pause), halves[0])


def test_ffmpeg_reads_what_libsndfile_does_not_know(model, tmp_path, monkeypatch):
    """A program that copies its input in place of ffmpeg: the wav is behind bytes that libsndfile does not know."""
    wav = write_voice(tmp_path / "a.wav", 0, 1)
    odd = tmp_path / "a.wma"
    odd.write_bytes(b"unknown" + wav.read_bytes())
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr(decoding.shutil, "which", lambda _: None)
    with pytest.raises(UserError, match=r"a\.wma: libsndfile does not know this format; .*install ffmpeg"):
        Verifier(model).embed(odd)
    program = tmp_path / "ffmpeg"
    program.write_text('#!/bin/sh\nfor word; do case "$word" in file:*) tail -c +8 "${word#file:}";; esac; done\n')
    program.chmod(0o755)
    monkeypatch.setattr(decoding.shutil, "which", lambda _: str(program))
    assert Verifier(model).embed(odd).tolist() == Verifier(model).embed(wav).tolist()
    program.write_text("#!/bin/sh\necho what is it >&2\nexit 1\n")
    with pytest.raises(UserError, match=r"a\.wma: ffmpeg cannot read it as audio \(what is it\)"):
        Verifier(model).embed(odd)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scale": -1.0}, "scale is -1.0, and has to be above 0"),
        ({"offset": None}, "offset is missing, or no finite number"),
        ({"operating_points": {}}, "operating_points is empty"),
        ({"operating_points": {"eer": {}}}, "threshold is missing"),
        ({"operating_points": {"1.5": {"threshold": 0}}}, "'1.5' is neither eer nor a prior"),
        ({"operating_points": {"0.01": {"threshold": 0}}}, "'eer': no such operating point"),
        ({"scoring": 7}, "scoring is missing, or no object"),
    ],
)
def test_a_damaged_calibration_is_told(changes, message, tmp_path):
    model = write_model(tmp_path)
    write_calibration(tmp_path, **changes)
    network = Verifier(model)
    network.enrol("A", [voice(0, 0)])
    with pytest.raises(UserError, match=message):
        network.verify("A", voice(0, 1))


def test_how_plda_scores_is_the_exports_choice(tmp_path):
    model = write_model(tmp_path)
    scores = []
    for scoring in ({}, {"smoothing": 0.5}, {"simple_length_normalization": True}, {"normalize_length": False}):
        write_calibration(tmp_path, scoring=scoring)
        network = Verifier(model)
        network.enrol("A", [voice(0, 0)])
        scores.append(network.verify("A", voice(0, 1)).score)
    assert len(set(scores)) == 4


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"sample_rate": None}, "no sample_rate above 0"),
        ({"minimum_samples": "0"}, "no minimum_samples above 0"),
        ({"embedding_dim": "many"}, "no embedding_dim above 0"),
        ({"backend": "cosine"}, "its back end is 'cosine', where plda is needed"),
    ],
)
def test_a_network_that_says_too_little_is_told(metadata, message, tmp_path):
    with pytest.raises(UserError, match=message):
        model = write_model(tmp_path, **metadata)
        network = Verifier(model)
        network.enrol("A", [voice(0, 0)])
        network.verify("A", voice(0, 1))


def test_what_does_not_fit_is_told(three, model, tmp_path):
    with pytest.raises(UserError, match="this verifier: nobody is enrolled as 'S9' \\(there are: S0, S1, S2\\)"):
        three.verify("S9", voice(0, 0))
    with pytest.raises(UserError, match="'S0' is enrolled already"):
        three.enrol("S0", [voice(0, 0)])
    with pytest.raises(UserError, match="nobody is enrolled as 'S9'"):
        three.enrol("S9", [voice(0, 0)], add=True)
    with pytest.raises(UserError, match="a list of recordings"):
        three.enrol("S9", "a.wav")
    with pytest.raises(UserError, match="no control characters"):
        three.enrol("S\n9", [voice(0, 0)])
    with pytest.raises(UserError, match="prior 1: a probability has to be above 0 and below 1"):
        Verifier(model, prior=1)
    assert three.names() == ["S0", "S1", "S2"]
    three.remove("S1")
    assert three.names() == ["S0", "S2"]
    with pytest.raises(UserError, match="nobody is enrolled; enrol someone first"):
        Verifier(model).identify(voice(0, 0))
    other = write_model(tmp_path)
    write_plda(tmp_path / "plda", np.zeros(3), np.eye(3), np.ones(3))
    network = Verifier(other)
    network.enrol("A", [voice(0, 0)])
    with pytest.raises(UserError, match=r"plda: is for 3 dimensions, student\.onnx gives 8"):
        network.verify("A", voice(0, 1))
    (tmp_path / "no.onnx").write_bytes(b"no network")
    with pytest.raises(UserError, match=r"no\.onnx: no ONNX file, or damaged"):
        Verifier(tmp_path / "no.onnx")
