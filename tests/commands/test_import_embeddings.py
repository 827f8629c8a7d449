"""import_embeddings.py: any toolkit's ark and scp become a teacher's levels, without a copy of the archives."""

import kaldiio
import numpy as np
import pytest
import yaml
from shell import ROOT, files, run

from xvkd.kaldi.archives import read_vectors

UTTERANCES = [f"{speaker}-{number}" for speaker in "abc" for number in range(3)]
SIZES = {"ecapa": 4, "pooled": 6}


def embeddings(keys, size, seed=0):
    random = np.random.default_rng(seed)
    return {key: random.standard_normal(size).astype(np.float32) for key in keys}


def save(folder, level, vectors, text=False):
    folder.mkdir(parents=True, exist_ok=True)
    kaldiio.save_ark(str(folder / f"{level}.ark"), vectors, scp=str(folder / f"{level}.scp"), text=text)


@pytest.fixture
def given(tmp_path):
    """Somebody's embeddings of two sets, and our data directories of these."""
    for name in ("train", "eval"):
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "utt2spk").write_text("".join(f"{key} {key[0]}\n" for key in UTTERANCES))
        for level, size in SIZES.items():
            save(tmp_path / "it's theirs" / name, level, embeddings(UTTERANCES, size))
    return tmp_path / "it's theirs"


@pytest.fixture
def take(given, tmp_path):
    def command(name="train", status=0):
        words = ["python3", ROOT / "pyscripts" / "import_embeddings.py", "--data-dir", tmp_path / "data" / name]
        words += ["--describe"] if name == "train" else []
        done = run([*words, given / name, tmp_path / "teacher"], PYTHONPATH=str(ROOT / "pyscripts"))
        assert done.returncode == status, done.stderr
        return done.stderr

    return command


def levels_of(folder):
    return {path.stem: dict(zip(*read_vectors(path), strict=True)) for path in sorted(folder.glob("*.scp"))}


def test_levels_are_those_that_there_are(given, take, tmp_path):
    assert "9 of 9 utterances; levels ecapa (4), pooled (6)" in take()
    take("eval")
    for name in ("train", "eval"):
        folder = tmp_path / "teacher" / "embeddings" / name
        assert (folder / "levels").read_text() == "ecapa\npooled\n"
        assert {path.name for path in folder.iterdir()} == {"levels", "ecapa.scp", "pooled.scp"}  # no copies
        for level, vectors in levels_of(folder).items():
            expected = embeddings(UTTERANCES, SIZES[level])
            assert list(vectors) == UTTERANCES
            assert all(np.array_equal(vectors[key], expected[key]) for key in UTTERANCES)
    record = yaml.safe_load((tmp_path / "teacher" / "config.yaml").read_text())
    assert record["role"] == "teacher" and record["parameters"] is None and record["embeddings"] == str(given)
    assert record["levels"]["pooled"] == {"size": 6, "parameters": None}


def test_relative_archives_text_and_other_spellings_are_found(given, take, tmp_path):
    """As some recipe left them: from its own folder, as text, by the paths of files, and with more than is needed."""
    keys = {key: key.replace("-", "/") + ".wav" for key in UTTERANCES}
    vectors = {keys[key]: vector for key, vector in embeddings(UTTERANCES, 4, seed=1).items()}
    save(given / "train", "ecapa", {**vectors, "z/9.wav": np.zeros(4, np.float32)}, text=True)
    script = given / "train" / "ecapa.scp"
    script.write_text(script.read_text().replace(f"{tmp_path}/", ""))
    take()
    found = levels_of(tmp_path / "teacher" / "embeddings" / "train")["ecapa"]
    assert list(found) == UTTERANCES
    assert all(np.allclose(found[key], vectors[keys[key]], atol=1e-5) for key in UTTERANCES)


def test_a_link_will_do_for_a_folder(given, take, tmp_path):
    """Whose archives are named from the recipe's folder, which then lies above the place that the link leads to."""
    folder = tmp_path / "kaldi" / "exp" / "xvectors"
    folder.parent.mkdir(parents=True)
    (given / "train").rename(folder)
    (given / "train").symlink_to(folder)
    script = folder / "ecapa.scp"
    script.write_text(script.read_text().replace(f"{given}/train/", "exp/xvectors/"))
    script = folder / "pooled.scp"
    script.write_text(script.read_text().replace(f"{given}/train/", ""))
    take()
    found = levels_of(tmp_path / "teacher" / "embeddings" / "train")
    assert all(np.array_equal(found["ecapa"][key], vector) for key, vector in embeddings(UTTERANCES, 4).items())


def test_utterances_without_an_embedding_are_counted_and_left_out_at_all_levels(given, take, tmp_path):
    save(given / "train", "ecapa", embeddings(UTTERANCES[2:], 4))
    save(given / "train", "pooled", embeddings(UTTERANCES[:8], 6))
    said = take()
    assert "ecapa.scp: no embedding of 2 of 9 utterances of" in said and "(a-0, a-1); they are left out" in said
    assert "pooled.scp: no embedding of 1 of 9 utterances" in said and "6 of 9 utterances; levels" in said
    found = levels_of(tmp_path / "teacher" / "embeddings" / "train")
    assert list(found["ecapa"]) == list(found["pooled"]) == UTTERANCES[2:8]


def test_what_is_of_speakers_is_no_level(given, take, tmp_path):
    save(given / "train", "spk_ecapa", embeddings("abc", 4))
    save(given / "train", "ecapa.1", embeddings(UTTERANCES[:3], 4))
    assert "spk_ecapa.scp: none of its 3 keys is an utterance of" in take()
    assert (tmp_path / "teacher" / "embeddings" / "train" / "levels").read_text() == "ecapa\npooled\n"


def nan(folder):
    save(folder, "ecapa", {**embeddings(UTTERANCES, 4), "b-1": np.full(4, np.nan, np.float32)})


def two_sizes(folder):
    save(folder, "ecapa", {**embeddings(UTTERANCES, 4), "b-1": np.zeros(5, np.float32)})


def matrices(folder):
    save(folder, "ecapa", {key: np.zeros((3, 4), np.float32) for key in UTTERANCES})


def no_archive(folder):
    (folder / "ecapa.ark").unlink()


def truncated(folder):
    data = (folder / "ecapa.ark").read_bytes()
    (folder / "ecapa.ark").write_bytes(data[:-3])


def twice(folder):
    script = folder / "ecapa.scp"
    script.write_text(script.read_text() * 2)


def nobody(folder):
    for level, size in SIZES.items():
        save(folder, level, embeddings("xyz", size))


def nothing(folder):
    for path in folder.iterdir():
        path.unlink()


def a_command(folder):
    (folder / "ecapa.scp").write_text(f"a-0 touch {folder}/run |\n")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (nan, "ecapa.ark: key 'b-1' at offset 124: NaN or infinity"),
        (two_sizes, "ecapa.scp: 'b-1' has the shape (5,), 'a-0' has (4,): embeddings are vectors, all of one size"),
        (matrices, "ecapa.scp: 'a-0' has the shape (3, 4)"),
        (no_archive, "ecapa.ark' does not exist (the first of 9 such lines): mend the path, or remove the line"),
        (truncated, "key 'c-2'"),
        (twice, "ecapa.scp, line 10: 'a-0' stands twice"),
        (nobody, "train: no <level>.scp with an embedding of the utterances of"),
        (nothing, "train: no <level>.scp with an embedding of the utterances of"),
        (a_command, "ecapa.scp: key 'a-0': commands"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_written(given, take, tmp_path, spoil, message):
    spoil(given / "train")
    before = files(given)
    said = take(status=1)
    assert message in said and said.splitlines()[-1].startswith("import_embeddings.py: error: ")
    assert not (tmp_path / "teacher").exists() and files(given) == before


def test_other_sets_are_held_against_the_training_set(given, take, tmp_path):
    assert "teacher: no finished model (config.yaml is missing)" in take("eval", status=1)
    take()
    save(given / "eval", "pooled", embeddings(UTTERANCES, 5))
    assert "pooled.scp: vectors of 5 values; those of the training set have 6: take both from one model" in take(
        "eval", status=1
    )
    assert not (tmp_path / "teacher" / "embeddings" / "eval").exists()
    (given / "eval" / "pooled.scp").unlink()
    save(given / "eval", "more", embeddings(UTTERANCES, 3))
    take("eval")
    assert (tmp_path / "teacher" / "embeddings" / "eval" / "levels").read_text() == "ecapa\n"
