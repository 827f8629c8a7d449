"""--vad and what belongs to it: two VADs of one corpus beside each other, and recordings that are commands."""

import re

import kaldiio
import numpy as np
import pytest
import soundfile
from shell import ROOT, files, run
from signals import noise

SETS = ("train", "dev", "eval")


@pytest.fixture(scope="module")
def corpus(golden, tmp_path_factory):
    """A sentence in noise from each of two speakers, three times over, as Kaldi data directories."""
    root = tmp_path_factory.mktemp("corpus")
    sentence = soundfile.read(golden / "features" / "s2-u1.wav", dtype="int16")[0].astype(float)
    for place, name in enumerate(SETS):
        (root / name).mkdir()
        lines = {"wav.scp": [], "utt2spk": []}
        for speaker in ("a", "b"):
            for number in range(2):
                key = f"{speaker}{place}-{number}"
                samples = np.pad(sentence, 16000)
                samples += noise(len(samples) / 16000, 200, 10 * place + number)
                soundfile.write(root / f"{key}.wav", samples.astype(np.int16), 16000)
                # Of each speaker one recording comes from a command.
                entry = f"{root}/{key}.wav" if number else f"cat {root}/{key}.wav |"
                lines["wav.scp"].append(f"{key} {entry}\n")
                lines["utt2spk"].append(f"{key} {speaker}{place}\n")
        for table, content in lines.items():
            (root / name / table).write_text("".join(content))
    return root


@pytest.fixture(scope="module")
def stages(corpus):
    """Runs stages 1 to 3, or others, of that corpus."""

    def recipe(*options, status=0, first="1", last="3"):
        given = [word for name in SETS for word in (f"--{name}-dir", corpus / name)]
        roots = ["--data-root", corpus / "data", "--exp-root", corpus / "exp", "--stage", first, "--stop-stage", last]
        done = run([ROOT / "run.sh", "--preset", "tiny", "--nj", "2", *given, *roots, *options])
        assert done.returncode == status, done.stderr
        return done

    return recipe


@pytest.fixture(scope="module")
def energy(stages):
    """After a run with the energy VAD."""
    return stages("--allow-pipes", "true")


def test_commands_in_a_script_are_run_only_if_allowed(corpus, stages):
    done = stages("--data-root", corpus / "other", status=1)
    assert "--allow-pipes" in done.stderr


def test_two_vads_share_features_and_nothing_else(corpus, stages, energy):
    folder = corpus / "data" / "kaldi"
    before = files(folder)
    done = stages("--vad", "hmm")  # the features, whose recordings are commands, are there
    assert len(re.findall(r"up to date: features of", done.stderr)) == 3
    after = files(folder)
    assert {name: after[name] for name in before if "/log/" not in name} == before
    both = [kaldiio.load_scp(str(folder / "eval" / f"{name}.scp")) for name in ("vad", "vad_hmm")]
    assert both[0].keys() == both[1].keys() and len(both[0]) == 4
    # A second of noise on each side: the energy VAD has it for speech, or much of it.
    for key, voiced in both[1].items():
        assert not voiced[:90].any() and voiced[150:400].mean() > 0.6 and len(voiced) == len(both[0][key])
    for vad in ("energy", "hmm"):
        assert "up to date: voice activity of train" in stages("--vad", vad, first="3").stderr


def test_experiments_of_another_vad_have_a_folder_of_their_own(corpus, stages, energy):
    stages("--vad", "hmm")
    commands = {vad: stages("--vad", vad, "--dry-run", first="4", last="6").stdout for vad in ("energy", "hmm")}
    assert f"{corpus}/exp/kaldi/teacher_tdnn_tiny_s0" in commands["energy"] and "vad_hmm" not in commands["energy"]
    assert f"{corpus}/exp/kaldi-hmm/teacher_tdnn_tiny_s0" in commands["hmm"]
    assert f"{corpus}/exp/kaldi/" not in commands["hmm"]
    for line in commands["hmm"].splitlines():
        if re.search(r"train_(teacher|student)\.py", line):
            assert "--set input.vad=vad_hmm" in line


def test_posteriors_are_kept_if_asked_for_and_nothing_is_done_again(corpus, stages, energy):
    stages("--vad", "hmm")
    mark = (corpus / "data" / "kaldi" / "eval" / ".done.vad_hmm").read_text()
    done = stages("--vad", "hmm", "--vad-posteriors", "true", "--vad-backend", "viterbi", first="3")
    assert "probabilities of speech of eval" in done.stderr
    assert (corpus / "data" / "kaldi" / "eval" / ".done.vad_hmm").read_text() == mark
    chances = kaldiio.load_scp(str(corpus / "data" / "kaldi" / "eval" / "vad_hmm_posteriors.scp"))
    assert len(chances) == 4 and all(chance.min() >= 0 and chance.max() <= 1 for chance in chances.values())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--vad", "hm"], r"--vad 'hm': no such file as conf/features/vad_hm.yaml \(there are: energy 8k hmm\)"),
        (["--vad", "hmm", "--vad-backend", "k3"], "--vad-backend 'k3': there are viterbi and k2"),
        (["--vad-posteriors", "true"], "--vad-posteriors: the energy VAD has none; add --vad hmm"),
        (["--allow-pipes", "yes"], "expected true or false"),
    ],
)
def test_impossible_options_are_told(stages, options, message):
    assert re.search(message, stages(*options, status=1).stderr)
