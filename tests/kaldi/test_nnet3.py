"""nnet3 files: what Kaldi wrote is read to the last byte; damage of any kind is an error that says so."""

import re
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nnet3_files import TDNN, as_bytes, builder, small_tdnn, write

from xvkd.errors import UserError
from xvkd.kaldi.nnet3 import parse_descriptor, read_nnet3
from xvkd.kaldi.xvector import read_xvector


@pytest.fixture(scope="module")
def small():
    return small_tdnn()


def read(folder, network, binary=True):
    return read_nnet3(write(folder / "final.raw", network, binary))


def test_nothing_of_kaldis_file_is_lost_or_misread(golden):
    """Written again from what was read, the file is the same, byte by byte."""
    path = golden / "nnet3" / "final.raw"
    network = read_nnet3(path)
    assert as_bytes(network) == path.read_bytes()
    assert list(network.nodes)[:3] == ["input", "tdnn1.affine", "tdnn1.relu"]
    assert len(network.components) == 25
    component = network.components["stats-pooling-0-10000"]
    assert (component.integer("<RightContext>"), component.flag("<OutputStddevs>")) == (10000, True)
    assert component.number("<VarianceFloor>") == pytest.approx(1e-10)
    assert network.components["tdnn5.batchnorm"].number("<Count>") == 1000  # a double
    assert network.components["tdnn5.affine"].array("<LinearParams>", 2).shape == (96, 48)


def test_kaldis_text_says_the_same(oracle):
    binary, text = (read_nnet3(oracle / "xvector" / name) for name in ("final.raw", "final.raw.txt"))
    assert {name: vars(node) for name, node in binary.nodes.items()} == {
        name: vars(node) for name, node in text.nodes.items()
    }
    assert list(binary.components) == list(text.components)
    for name, component in binary.components.items():
        other = text.components[name]
        assert (other.kind, list(other.values)) == (component.kind, list(component.values))
        for tag, (value,) in component.values.items():
            if isinstance(value, np.ndarray):
                # Kaldi prints seven digits.
                np.testing.assert_allclose(other.values[tag][0], value, rtol=1e-6, err_msg=f"{name} {tag}")
            elif isinstance(value, bool):
                assert other.flag(tag) == value


@pytest.mark.parametrize("binary", [True, False])
def test_values_come_as_what_they_are(tmp_path, small, binary):
    network = read(tmp_path, small, binary)
    relu, norm = network.components["tdnn2.relu"], network.components["tdnn2.batchnorm"]
    assert relu.integer("<Dim>") == 4 and relu.number("<Count>") == 12.5 and not norm.flag("<TestMode>")
    expected = small.components["tdnn2.batchnorm"].values["<StatsMean>"][0]
    np.testing.assert_allclose(norm.array("<StatsMean>", 1), expected, rtol=1e-6)
    weights = network.components["tdnn2.affine"].array("<LinearParams>", 2)
    np.testing.assert_allclose(weights, small.components["tdnn2.affine"].values["<LinearParams>"][0], rtol=1e-6)
    for ask, message in (
        (lambda: norm.integer("<Nothing>"), "has no value '<Nothing>'"),
        (lambda: norm.integer("<TestMode>"), "has no whole number in '<TestMode>'"),
        (lambda: norm.integer("<StatsMean>"), "has no whole number in"),
        (lambda: norm.number("<StatsMean>"), "has no finite number in"),
        (lambda: norm.flag("<Dim>"), "has neither true nor false in '<Dim>'"),
        (lambda: norm.array("<Dim>", 1), "has no vector in '<Dim>'"),
        (lambda: norm.array("<StatsMean>", 2), "has no matrix in '<StatsMean>'"),
    ):
        with pytest.raises(UserError, match=f"final.raw: component 'tdnn2.batchnorm' .BatchNorm.*{message}"):
            ask()


@pytest.mark.parametrize("binary", [True, False])
def test_state_of_the_training_is_passed_over(tmp_path, binary):
    """Versions of Kaldi write this or that: tags of their own, without a value, or with two."""
    built = builder(TDNN, (4, 4, 4, 4, 6))
    built.add(
        "odd", "GeneralDropoutComponent", Dim=4, TestMode=[], AlphaInOut=[4.0, 4.0], RankInOut=[20, 80],
        IsGradient=False, L2Regularize=np.float64(0.5), Old=np.zeros((0, 0), np.float32),
    )
    values = read(tmp_path, built.end(), binary).components["odd"]
    assert values.number("<L2Regularize>") == 0.5 and not values.flag("<IsGradient>")
    with pytest.raises(UserError, match="'odd' .* has 2 values '<AlphaInOut>'"):
        values.number("<AlphaInOut>")


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.raw: .*[Nn]o such file"):
        read_nnet3(tmp_path / "nowhere.raw")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: b"", "truncated"),
        (lambda data: b"\0B", "truncated"),
        (lambda data: b"\x80abc", "damaged, or not an nnet3 network"),
        (lambda data: b"\0B<TransitionModel> <Topology> ", "begins with '<TransitionModel>'.; of an acoustic"),
        (lambda data: b"\0B<Plda> FV ", "not an nnet3 network of Kaldi's .it begins with '<Plda>'"),
        (lambda data: data.replace(b"<NumComponents>", b"<NumComponentz>"), "damaged, or not an nnet3 network"),
        (lambda data: data.replace(b"input-node", b"input-nod\xc3"), "damaged, or not an nnet3 network"),
        (lambda data: data.replace(b"component-node", b"component-mode", 1), "not a line of a network: 'comp"),
        (lambda data: data.replace(b" name=tdnn1.relu", b" name=tdnn1.affine"), "not a line of a network: 'comp"),
        (lambda data: data.replace(b"component=tdnn2.relu", b"component=tdnn9.relu"), "'tdnn2.relu' has a component"),
        (lambda data: data.replace(b"<RectifiedLinearC", b"<PnormC"), "'tdnn1.relu' .PnormComponent. is of a kind"),
        (lambda data: data.replace(b"<ComponentName> tdnn1.relu", b"<ComponentName> tdnn1.affine"), "is there twice"),
        (lambda data: data.replace(b"<Epsilon> \4", b"<Epsilon> \5"), "damaged: a value is expected here"),
        (lambda data: data.replace(b"<TestMode> F", b"<TestMode> FTTTTTF"), "damaged: a tag is expected here"),
        (lambda data: data[:-10], "truncated"),
        (lambda data: data[: len(data) // 2], "truncated|damaged"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(tmp_path, small, change, message):
    path = tmp_path / "final.raw"
    path.write_bytes(change(as_bytes(small)))
    with pytest.raises(UserError, match=message) as caught:
        read_nnet3(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


@pytest.mark.parametrize("rows", [2**31 - 1, -1, 100_000])
def test_sizes_are_not_believed(tmp_path, small, rows):
    """A header that claims gigabytes takes none."""
    data = as_bytes(small)
    at = data.index(b"FM \4") + 4
    path = tmp_path / "final.raw"
    path.write_bytes(data[:at] + struct.pack("<i", rows) + data[at + 4 :])
    with pytest.raises(UserError, match="truncated|damaged"):
        read_nnet3(path)


def harmless(path, data):
    """Reads bytes as a network: it works, or ends in an error of one line that names the file."""
    path.write_bytes(data)
    try:
        read_xvector(path)
    except UserError as error:
        assert re.match(rf"{re.escape(str(path))}: .*[^.]\Z", str(error))


@pytest.mark.parametrize("binary", [True, False])
def test_a_truncated_network_is_an_error(tmp_path, small, binary):
    data = as_bytes(small, binary)
    for length in range(0, len(data.rstrip()) - 1, 7):
        (tmp_path / "final.raw").write_bytes(data[:length])
        with pytest.raises(UserError):
            read_nnet3(tmp_path / "final.raw")


@pytest.mark.parametrize("binary", [True, False])
def test_no_mutation_does_worse_than_an_error(tmp_path, small, binary):
    data = as_bytes(small, binary)

    @given(st.lists(st.tuples(st.integers(0, len(data) - 1), st.binary(max_size=6)), min_size=1, max_size=4))
    @settings(max_examples=200)
    def check(changes):
        changed = bytearray(data)
        for at, replacement in changes:
            changed[at : at + len(replacement)] = replacement
        harmless(tmp_path / "final.raw", bytes(changed))

    check()


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("tdnn1.relu", "tdnn1.relu"),
        ("Append(Offset(a, -2), a, Offset(a, 2))", ("Append", ("Offset", "a", "-2"), "a", ("Offset", "a", "2"))),
        ("Round(stats-pooling-0-10000, 1)", ("Round", "stats-pooling-0-10000", "1")),
        ("Sum(Scale(0.5,a),b)", ("Sum", ("Scale", "0.5", "a"), "b")),
    ],
)
def test_descriptors(text, parsed):
    assert parse_descriptor(text) == parsed


@given(st.text(alphabet="ab(), ", max_size=30) | st.just("(" * 100_000) | st.just("a(" * 50_000 + "a" + ")" * 50_000))
def test_what_is_no_descriptor_is_a_value_error(text):
    try:
        parse_descriptor(text)
    except ValueError:
        pass
    else:
        assert text.count("(") == text.count(")") and re.search("[ab]", text)
