"""The embedded corpus: reproducible to the byte, restartable, and shaped as its file says."""

import copy
import dataclasses
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

from xvkd import config
from xvkd.corpora.corpus_set import from_manifests
from xvkd.corpora.prepare import CorpusConfig
from xvkd.corpora.sources import synthetic
from xvkd.corpora.synthesis import channel, espeak, texts
from xvkd.errors import UserError

CONF = Path(__file__).parents[2] / "conf" / "corpora"
SIZES = {"train": (4, [5, 7]), "dev": (2, [8, 8]), "eval": (2, [10, 10])}


def corpus_file(name: str) -> dict:
    return dataclasses.asdict(config.load(CorpusConfig, CONF / f"{name}.yaml"))


def make_options(changes: dict | None = None) -> synthetic.Options:
    """tiny.yaml's options with few speakers; ``changes`` maps dotted keys to values."""
    values = corpus_file("tiny")["options"]
    for name, (speakers, utterances) in SIZES.items():
        values["sets"][name] = {"speakers": speakers, "utterances": utterances}
    for key, value in (changes or {}).items():
        *sections, last = key.split(".")
        section = values
        for step in sections:
            section = section[step]
        section[last] = value
    return config.build(synthetic.Options, values, "tiny.yaml", "options")


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    synthetic.generate(make_options(), folder, (1, 1))
    return folder


@pytest.fixture(scope="module")
def described(corpus):
    return synthetic.manifests(make_options(), corpus)


def test_same_bytes_in_parts_and_after_a_restart(corpus, tmp_path):
    for job in (3, 1, 2):
        synthetic.generate(make_options(), tmp_path, (job, 3))
    assert digests(tmp_path) == digests(corpus)

    # Killed runs leave temporary folders; a lost speaker and a lost utterance are made again.
    leftover = tmp_path / "dev" / ".dv0001.part"
    leftover.mkdir()
    (leftover / "dv0001-s1-u99.wav").write_bytes(b"RIFF")
    shutil.rmtree(tmp_path / "dev" / "dv0001")
    (tmp_path / "eval" / "ev0002" / "ev0002-s1-u01.wav").unlink()
    untouched = (tmp_path / "train" / "tr0001").stat().st_mtime_ns
    synthetic.generate(make_options(), tmp_path, (1, 1))
    assert digests(tmp_path) == digests(corpus)
    assert (tmp_path / "train" / "tr0001").stat().st_mtime_ns == untouched


def test_same_bytes_in_another_process(corpus, tmp_path):
    script = (
        "import sys, yaml; from pathlib import Path\n"
        "from xvkd import config; from xvkd.corpora.sources import synthetic\n"
        "options = config.build(synthetic.Options, yaml.safe_load(sys.stdin), 'stdin')\n"
        "synthetic.generate(options, Path(sys.argv[1]), (2, 8))\n"
        "assert not {'torch', 'lhotse'} & set(sys.modules), 'generate() must start fast and fork safely'\n"
    )
    values = corpus_file("tiny")["options"]
    for name, (speakers, utterances) in SIZES.items():
        values["sets"][name] = {"speakers": speakers, "utterances": utterances}
    source = os.pathsep.join(path for path in sys.path if path)
    subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], input=yaml.safe_dump(values), text=True, check=True,
        env={**os.environ, "PYTHONPATH": source},
    )
    made = digests(tmp_path)
    assert made and made.items() <= digests(corpus).items()


def test_speakers_do_not_depend_on_the_sizes_of_sets(corpus, tmp_path):
    larger = make_options({"sets.train.speakers": 5, "sets.dev.speakers": 1})
    synthetic.generate(larger, tmp_path, (1, 1))
    common = digests(tmp_path).keys() & digests(corpus).keys()
    assert {name.split("/")[1] for name in common} == {
        "tr0001", "tr0002", "tr0003", "tr0004", "dv0001", "ev0001", "ev0002",
    }
    assert all(digests(tmp_path)[name] == digests(corpus)[name] for name in common)


def test_changed_options_replace_what_is_there(corpus, tmp_path):
    shutil.copytree(corpus, tmp_path, dirs_exist_ok=True)
    reseeded = make_options({"seed": 1})
    with pytest.raises(UserError, match="tr0001.*other options"):
        synthetic.manifests(reseeded, tmp_path)
    synthetic.generate(reseeded, tmp_path, (1, 1))
    before = digests(corpus)
    assert all(digest != before.get(name) for name, digest in digests(tmp_path).items())
    assert list(synthetic.manifests(reseeded, tmp_path)) == ["train", "dev", "eval"]


def test_manifests_describe_the_sets(described):
    assert list(described) == ["train", "dev", "eval"]
    for name, (recordings, supervisions) in described.items():
        speakers, (least, most) = SIZES[name]
        ids = [supervision.id for supervision in supervisions]
        assert ids == sorted(ids) == [recording.id for recording in recordings]
        by_speaker = {}
        for supervision in supervisions:
            assert supervision.id.startswith(supervision.custom["session"] + "-u")
            assert supervision.custom["session"].startswith(supervision.speaker + "-s")
            assert supervision.text and supervision.language == "English"
            by_speaker.setdefault(supervision.speaker, []).append(supervision)
        assert len(by_speaker) == speakers
        genders = [utterances[0].gender for utterances in by_speaker.values()]
        assert genders.count("female") == genders.count("male") == speakers // 2
        for utterances in by_speaker.values():
            assert least <= len(utterances) <= most
            sessions = [utterance.custom["session"] for utterance in utterances]
            sizes = [sessions.count(session) for session in sorted(set(sessions))]
            assert sizes == synthetic.session_sizes(len(utterances))
            assert len({utterance.text for utterance in utterances}) == len(utterances)


def test_noise_is_told_of_every_utterance(described):
    """As the plan beside the audio has it, which the audio follows."""
    for recordings, supervisions in described.values():
        table = from_manifests(recordings, supervisions).tables["utt2snr"]
        assert list(table) == [supervision.id for supervision in supervisions]
        for recording in recordings:
            plan = json.loads((Path(recording.sources[0].source).parent / "plan.json").read_text())
            expected = {utterance["id"]: utterance["snr_db"] for utterance in plan["utterances"]}
            assert float(table[recording.id]) == expected[recording.id]


def test_first_session_suffices_for_enrolment():
    for num_utterances in range(5, 30):
        sizes = synthetic.session_sizes(num_utterances)
        assert sum(sizes) == num_utterances and sizes[0] == 3 and set(sizes) <= {2, 3}


def test_audio_is_sound(described):
    for recordings, _ in described.values():
        for recording in recordings:
            path = recording.sources[0].source
            assert soundfile.info(path).subtype == "PCM_16"
            samples, rate = soundfile.read(path, dtype="int16")
            assert rate == recording.sampling_rate == 16000 and samples.shape == (recording.num_samples,)
            assert 1.0 < len(samples) / rate < 4.5
            level = 20 * np.log10(np.std(samples / 32768))
            assert -40 < level < -15
            assert np.abs(samples.astype(int)).max() < 32000
            assert np.std(samples[:800]) > 0  # the channel's noise, where nobody speaks


def test_speakers_sound_different_in_the_same_words():
    plans = [plan for _, plan in synthetic._plans(make_options(), slice(None))]
    prompt = espeak.Prompt("<speak>The old captain quietly painted a boat.</speak>", 0, 165, 50, 50)
    with espeak.Synthesiser() as synthesiser:
        spoken = [
            synthesiser.speak("en-us", [plan["sessions"][0]["voice"]], [prompt], seed=1)[0]
            for plan in plans
        ]
    spectra = [np.abs(np.fft.rfft(samples, 1 << 17)).reshape(-1)[:65536].reshape(64, -1).mean(1)
               for samples in spoken]
    logs = np.log(np.array(spectra))
    distances = np.abs(logs[:, None] - logs[None]).mean(-1)
    assert distances[~np.eye(len(logs), dtype=bool)].min() > 0.1
    assert max(np.abs(samples).max() for samples in spoken) < 1.0


def test_noise_is_as_loud_as_asked():
    time = np.arange(32000) / 16000
    flat = channel.Channel(t60=0.1, direct_db=300.0, eq_db=[0.0] * 8, noise_tilt_db=0.0, snr_db=0.0)
    room = channel.room_response(np.random.default_rng(0), flat)
    for snr_db in (0.0, 20.0):
        noisy = channel.record(
            np.sin(2 * np.pi * 1000 * time), flat, room, np.random.default_rng(1), snr_db, -25.0
        )
        power = np.abs(np.fft.rfft(noisy / 32768)) ** 2
        assert 20 * np.log10(np.std(noisy / 32768)) == pytest.approx(-25, abs=0.1)
        assert 10 * np.log10(power[2000] / (power.sum() - power[2000])) == pytest.approx(snr_db, abs=0.5)


def test_room_decays_in_its_reverberation_time():
    dead = channel.Channel(t60=0.4, direct_db=3.0, eq_db=[0.0] * 8, noise_tilt_db=0.0, snr_db=20.0)
    response = channel.room_response(np.random.default_rng(0), dead)
    assert 10 * np.log10(response[0] ** 2 / np.sum(response[1:] ** 2)) == pytest.approx(3.0)
    remaining = 10 * np.log10(np.cumsum(response[:0:-1] ** 2)[::-1])
    fall = np.polyfit(np.arange(800, 4000) / 16000, remaining[800:4000], 1)[0]
    assert -60 / fall == pytest.approx(0.4, rel=0.1)


def test_sentences_vary_and_have_the_wished_length():
    rng = np.random.default_rng(0)
    drawn = [texts.sentence(rng, 10) for _ in range(200)]
    assert len(set(drawn)) == 200
    assert len({word.strip(".,?!").lower() for text in drawn for word in text.split()}) > 300
    assert all(abs(texts.count_syllables(text) - 10) <= 2 for text in drawn)


def test_corpus_files_agree():
    full, tiny = corpus_file("synthetic"), corpus_file("tiny")
    config.build(synthetic.Options, copy.deepcopy(full["options"]), "synthetic.yaml", "options")
    for values in (full, tiny):
        values["trials"].pop("max_nontarget")
        values["options"].pop("sets")
        values["options"]["utterance"].pop("seconds")
    assert full == tiny


@pytest.mark.parametrize("key, value, message", [
    ("channel.snr", [5, 25], "snr.*unknown key"),
    ("channel.snr_db", [25, 5], "snr_db.*low <= high"),
    ("sets.eval.utterances", [4, 4], "utterances: 4 is impossible"),
    ("speaker.accents", ["fr"], "accents: fr is impossible"),
])
def test_wrong_options_are_named(key, value, message):
    with pytest.raises(UserError, match=message):
        make_options({key: value})


def test_missing_or_broken_espeak_is_explained(monkeypatch, tmp_path):
    monkeypatch.setattr("espeakng_loader.get_library_path", lambda: str(tmp_path / "lib.so"))
    with pytest.raises(UserError, match="does not load.*install it again"):
        espeak.Synthesiser()
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(UserError, match="pip install espeakng-loader"):
        espeak.Synthesiser()


def test_long_temporary_path_is_refused(monkeypatch, tmp_path):
    deep = tmp_path / ("x" * 100) / ("y" * 100)
    deep.mkdir(parents=True)
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    with pytest.raises(UserError, match="TMPDIR"), espeak.Synthesiser():
        pass
    assert not list(deep.iterdir())


def test_a_crash_of_espeak_is_an_error_and_leaves_nothing(monkeypatch, tmp_path):
    def crash(*_):
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(espeak.Synthesiser, "_speak_here", crash)
    with pytest.raises(UserError, match="tr0001: eSpeak NG ended with signal SIGKILL"):
        synthetic.generate(make_options(), tmp_path, (1, 1))
    assert not list(tmp_path.rglob("*.wav"))
