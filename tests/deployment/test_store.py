"""The file of speakers: nothing is lost, nothing half-written, nothing read that is of another network."""

import json
import threading
import time

import numpy as np
import pytest

from xvkd.deployment.store import ModelIdentity, Speaker, changing, read_store
from xvkd.errors import UserError

MODEL = ModelIdentity("/models/student.onnx", "ab" * 32, 3)
MEAN = np.array([0.1, -2.5, 1e-7])


@pytest.fixture
def path(tmp_path):
    """A store of one speaker."""
    path = tmp_path / "speakers.json"
    with changing(path, MODEL) as speakers:
        speakers["ALICE"] = Speaker(MEAN, 2)
    return path


def test_what_is_written_is_read(path):
    store = read_store(path, MODEL)
    assert store.model == MODEL and list(store.speakers) == ["ALICE"] and store.speakers["ALICE"].num_utts == 2
    np.testing.assert_allclose(store.speakers["ALICE"].mean, MEAN, rtol=1e-8)


def test_any_name_can_be_kept(path):
    names = {'a "quoted" one', "Zoë Müller", "日本", "back\\slash"}
    with changing(path, MODEL) as speakers:
        speakers.update({name: Speaker(MEAN, 1) for name in names})
    assert read_store(path).speakers.keys() == names | {"ALICE"}


def test_changes_at_once_are_all_kept(path):
    """Each takes its time between reading and writing."""

    def enrol(name):
        with changing(path, MODEL) as speakers:
            time.sleep(0.02)
            speakers[name] = Speaker(MEAN, 1)

    threads = [threading.Thread(target=enrol, args=(f"S{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(read_store(path).speakers) == ["ALICE", *(f"S{number}" for number in range(8))]


def test_a_change_that_fails_leaves_the_store_as_it_was(path):
    before = path.read_bytes()
    with pytest.raises(RuntimeError), changing(path, MODEL) as speakers:
        speakers.clear()
        raise RuntimeError
    assert path.read_bytes() == before and {file.name for file in path.parent.iterdir()} == {
        "speakers.json", ".speakers.json.lock",
    }  # fmt: skip


def test_others_may_read_it_only_if_its_owner_lets_them(path):
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    with changing(path, MODEL) as speakers:
        speakers["BOB"] = Speaker(MEAN, 1)
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_link_stays_a_link(path, tmp_path):
    link = tmp_path / "elsewhere.json"
    link.symlink_to(path)
    with changing(link, MODEL) as speakers:
        speakers["BOB"] = Speaker(MEAN, 1)
    assert link.is_symlink() and sorted(read_store(path).speakers) == ["ALICE", "BOB"]


def test_a_network_that_was_moved_is_the_same(path):
    moved = ModelIdentity("/elsewhere/student.onnx", MODEL.sha256, MODEL.embedding_dim)
    assert read_store(path, moved).speakers
    with changing(path, moved):
        pass
    assert read_store(path).model == moved


def test_another_network_is_refused(path):
    other = ModelIdentity("/models/other.onnx", "cd" * 32, 3)
    message = r"enrolled with another network \(/models/student.onnx, sha256 abababab\) than /models/other.onnx"
    with pytest.raises(UserError, match=message):
        read_store(path, other)
    before = path.read_bytes()
    with pytest.raises(UserError, match=message), changing(path, other) as speakers:
        speakers.clear()
    assert path.read_bytes() == before


def test_no_store_is_told(tmp_path):
    with pytest.raises(UserError, match=r"none\.json: no such speaker store; enrol someone first"):
        read_store(tmp_path / "none.json")
    with pytest.raises(UserError, match="no such speaker store"), changing(tmp_path / "none.json", None):
        pass
    assert not (tmp_path / "none.json").exists()


def _without(key):
    return lambda content: content.pop(key)


def _alice(**changes):
    return lambda content: content["speakers"]["ALICE"].update(changes)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_without("format"), "'format' is missing"),
        (_without("speakers"), "'speakers' is missing"),
        (lambda content: content.update(format="xvkd speakers 9"), "its format is 'xvkd speakers 9'"),
        (lambda content: content.update(speakers=[1]), ""),
        (lambda content: content.update(model={}), ""),
        (lambda content: content["model"].update(embedding_dim="3"), "embedding_dim"),
        (_alice(mean=[1.0, 2.0]), "speaker 'ALICE': mean"),
        (_alice(mean=[1.0, 2.0, float("nan")]), "speaker 'ALICE': mean"),
        (_alice(mean="abc"), ""),
        (_alice(num_utts=0), "speaker 'ALICE': num_utts"),
        (_alice(num_utts=1.5), "speaker 'ALICE': num_utts"),
    ],
)
def test_a_damaged_store_is_told_and_left_alone(path, damage, reason):
    content = json.loads(path.read_text())
    damage(content)
    path.write_text(json.dumps(content))
    before = path.read_bytes()
    for use in (lambda: read_store(path), lambda: changing(path, MODEL).__enter__()):
        with pytest.raises(UserError, match="no speaker store, or damaged") as error:
            use()
        assert reason in str(error.value) and "\n" not in str(error.value)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"[]", b"3", b'{"format": "xvkd', b"\0B<Plda> "])
def test_what_is_no_store_is_told(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(UserError, match="x: no speaker store, or damaged"):
        read_store(tmp_path / "x")
