"""Kaldi's x-vector networks: which layers they are, and that anything else is refused by its component's name."""

import numpy as np
import pytest
from nnet3_files import ETDNN, TDNN, Builder, builder, small_etdnn, small_tdnn, write

from xvkd.errors import UserError
from xvkd.kaldi.xvector import read_xvector

WIDTHS = (4, 4, 4, 4, 6)


@pytest.fixture
def read(tmp_path):
    def start(network):
        return read_xvector(write(tmp_path / "final.raw", network))

    return start


def vector(*values):
    return np.array(values, np.float32)


def value(network, component, tag):
    return network.components[component].values[tag][0]


@pytest.mark.parametrize(
    ("network", "contexts", "widths"),
    [(small_tdnn(), TDNN, WIDTHS), (small_etdnn(), ETDNN, (4, 5, 3, 6, 4, 5, 3, 4, 5, 7))], ids=["tdnn", "etdnn"],
)
def test_layers_are_found_with_their_contexts_and_weights(read, network, contexts, widths):
    found = read(network)
    assert found.input_dim == 3 and found.pooled_frames == 10001
    assert [layer.offsets for layer in found.frame_layers] == list(contexts)
    assert [layer.width for layer in found.frame_layers] == list(widths)
    assert [layer.width for layer in found.segment_layers] == [5, 4]
    names = [layer.name for layer in found.frame_layers + found.segment_layers]
    assert names == [f"tdnn{number}.affine" for number in range(1, len(widths) + 3)]
    second = next(layer for layer in found.frame_layers if layer.offsets == (-2, 0, 2))
    matrix, below = value(network, second.name, "<LinearParams>"), second.weight.shape[1]
    for position in range(3):
        columns = slice(position * below, (position + 1) * below)
        np.testing.assert_array_equal(second.weight[:, :, position], matrix[:, columns])
    norm = second.name.replace("affine", "batchnorm")
    np.testing.assert_array_equal(second.mean, value(network, norm, "<StatsMean>"))
    expected = np.sqrt(value(network, norm, "<StatsVar>") + 0.001)
    np.testing.assert_allclose(second.deviation, expected, rtol=1e-6)


def test_batchnorm_in_blocks_scales_and_floors(read):
    """block-dim: all blocks share their statistics; target-rms scales; a variance below 0 is rounding."""
    network = small_tdnn()
    network.components["tdnn5.batchnorm"].values |= {
        "<BlockDim>": [3], "<TargetRms>": [0.5], "<Epsilon>": [0.01],
        "<StatsMean>": [vector(1, 2, 3)], "<StatsVar>": [vector(0.08, 0.15, -1e-4)],
    }  # fmt: skip
    layer = read(network).frame_layers[4]
    np.testing.assert_allclose(layer.mean, [1, 2, 3, 1, 2, 3])
    np.testing.assert_allclose(layer.deviation, 2 * np.sqrt([0.09, 0.16, 0.01] * 2), rtol=1e-6)


def test_what_does_nothing_outside_of_training_is_passed_over(read):
    built = Builder(3)
    built.add("spec-augment.freq-mask", "GeneralDropoutComponent", Dim=3, DropoutProportion=0.5, TestMode=[])
    built.add("spec-augment.time-mask", "SpecAugmentTimeMaskComponent", Dim=3, ZeroedProportion=0.1)
    built.layer("tdnn1", 4, (-1, 0, 1))
    built.add("tdnn1.dropout", "DropoutComponent", Dim=4, DropoutProportion=0.0, DropoutPerFrame=True)
    built.add("noop", "NoOpComponent", Dim=4, BackpropScale=1.0)
    built.layer("tdnn2", 6)
    built.add("tdnn2.dropout", "DropoutComponent", Dim=6, DropoutProportion=0.25)
    built.statistics()
    built.layer("tdnn3", 5)
    network = built.output(7)
    found = read(network)
    assert [layer.name for layer in found.frame_layers] == ["tdnn1.affine", "tdnn2.affine"]
    # A dropout that is left in scales by what it lets through.
    variance = value(network, "tdnn2.batchnorm", "<StatsVar>")
    np.testing.assert_allclose(found.frame_layers[1].deviation, np.sqrt(variance + 0.001) / 0.75, rtol=1e-6)


@pytest.mark.parametrize(
    ("end", "segments"),
    [
        (lambda built: built.output(7), 2),
        (lambda built: built.output(7, log_softmax=False), 2),
        (lambda built: built.end(), 2),
        (lambda built: (built.affine("embedding", 9), built.end())[1], 3),
    ],
    ids=["classifier", "classifier without softmax", "no classifier", "cut off at an affine layer"],
)
def test_the_classifier_is_dropped_and_an_embedding_is_not(read, end, segments):
    built = builder(TDNN, WIDTHS)
    assert len(read(end(built)).segment_layers) == segments


def test_a_network_that_ends_with_its_embedding(read):
    """nnet3-copy --nnet-config=extract.config, with what is behind removed, or left in."""
    built = builder(TDNN, WIDTHS, ())
    built.affine("tdnn6.affine", 8)
    found = read(built.end())
    assert [layer.name for layer in found.segment_layers] == ["tdnn6.affine"]
    assert found.segment_layers[0].mean is None
    network = small_tdnn()
    network.nodes["output"].fields["input"] = "tdnn6.affine"
    assert len(read(network).segment_layers) == 2


def test_other_affine_components_are_read_too(read):
    network = small_tdnn()
    network.components["tdnn4.affine"].kind = "FixedAffineComponent"
    linear = network.components["tdnn1.affine"]
    linear.kind, linear.values = "LinearComponent", {"<Params>": linear.values["<LinearParams>"]}
    found = read(network)
    assert not found.frame_layers[0].bias.any() and found.frame_layers[3].bias.any()


def set_value(component, tag, new):
    def change(network):
        network.components[component].values[tag] = [new]

    return change


def set_kind(component, kind):
    def change(network):
        network.components[component].kind = kind

    return change


def set_input(node, reads):
    def change(network):
        network.nodes[node].fields["input"] = reads

    return change


def remove(name):
    def change(network):
        node = network.nodes.pop(name)
        for other in network.nodes.values():
            if "input" in other.fields:
                other.fields["input"] = other.fields["input"].replace(name, node.fields["input"])

    return change


def add_input(network):
    network.nodes["ivector"] = type(network.nodes["input"])("input-node", "ivector", {"name": "ivector", "dim": "100"})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (add_input, "x-vector networks have one input, the features .this one's: input, ivector."),
        (lambda network: network.nodes["input"].fields.update(dim="0"), "the input has no possible dimension"),
        (lambda network: network.nodes["input"].fields.update(dim="1e9"), "the input has no possible dimension"),
        (lambda network: network.nodes["input"].fields.update(dim="4"),
         r"'tdnn1.affine' .* has 4 x 15 weights and 4 offsets, but reads 4 values of 5 frames"),
        (set_input("tdnn3.affine", "Append(tdnn1.batchnorm, tdnn2.batchnorm)"), "'tdnn3.affine' reads 'App.* one node"),
        (set_input("tdnn3.affine", "Sum(tdnn1.batchnorm, tdnn2.batchnorm)"), "'tdnn3.affine' reads 'Sum"),
        (set_input("tdnn3.affine", "Offset(tdnn2.batchnorm, x)"), "'tdnn3.affine' reads 'Offset"),
        (set_input("tdnn3.affine", "Append("), "'tdnn3.affine' reads 'Append"),
        (set_input("tdnn6.affine", "Round(stats-pooling-0-10000, 10)"), "'tdnn6.affine' reads 'Round"),
        (set_input("tdnn4.affine", "tdnn2.batchnorm"), "'tdnn3.affine' and 'tdnn4.affine' both read 'tdnn2.batchnorm'"),
        (set_input("tdnn2.relu", "Offset(tdnn2.affine, 1)"), "'tdnn2.relu' .* reads the frames .1,.; in"),
        (set_kind("tdnn2.relu", "NoOpComponent"),
         "'tdnn2.batchnorm' .BatchNormComponent. stands where x-vector networks have a RectifiedLinearComponent"),
        (remove("tdnn4.batchnorm"), "'tdnn5.affine' .* stands where x-vector networks have a BatchNormComponent"),
        (remove("stats-extraction-0-10000"), "'stats-pooling-0-10000' .* stands where .* a NaturalGradient"),
        (remove("tdnn6.relu"), "'tdnn6.batchnorm' .* stands where x-vector networks have a RectifiedLinearComponent"),
        (lambda network: network.nodes.pop("tdnn5.affine"), "the network ends where .* a NaturalGradientAffine"),
        (lambda network: network.nodes.pop("tdnn6.affine"), "nothing stands on the statistics pooling"),
        (set_value("tdnn3.affine", "<BiasParams>", vector(0, 0, 0, 0, 0)), "'tdnn3.affine' .* 5 offsets, but reads 4"),
        (set_value("tdnn3.affine", "<BiasParams>", vector(0, 0, 0, np.nan)), "'tdnn3.affine' .* infinite or undefined"),
        (set_value("tdnn2.batchnorm", "<StatsMean>", vector()), "'tdnn2.batchnorm' .*, 0 means and 4 variances"),
        (set_value("tdnn2.batchnorm", "<Dim>", 8), "'tdnn2.batchnorm' .* has dim 8, .* but reads 4 values"),
        (set_value("tdnn2.batchnorm", "<BlockDim>", 0), "'tdnn2.batchnorm' .* has dim 4, block-dim 0"),
        (set_value("tdnn2.batchnorm", "<Count>", np.float64(0)), "'tdnn2.batchnorm' .* no statistics: .* trained"),
        (set_value("tdnn2.batchnorm", "<TargetRms>", 0.0), "'tdnn2.batchnorm' .* scales by 0.0: both must"),
        (set_value("tdnn2.batchnorm", "<Epsilon>", -1.0), "'tdnn2.batchnorm' .* has epsilon -1.0"),
        (set_value("stats-extraction-0-10000", "<OutputPeriod>", 10), "has 10 in '<OutputPeriod>', ours has 1"),
        (set_value("stats-extraction-0-10000", "<IncludeVarinance>", False), "gives no standard deviations"),
        (set_value("stats-pooling-0-10000", "<OutputStddevs>", False), "gives no standard deviations"),
        (set_value("stats-pooling-0-10000", "<NumLogCountFeatures>", 1), "has 1 in '<NumLogC.*', ours has 0"),
        (set_value("tdnn1.affine", "<LinearParams>", vector().reshape(0, 0)), "'tdnn1.affine' .* has 0 x 0 weights"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(read, tmp_path, change, message):
    network = small_tdnn()
    change(network)
    with pytest.raises(UserError, match=message) as caught:
        read(network)
    assert str(caught.value).startswith(f"{tmp_path}/final.raw: ")
