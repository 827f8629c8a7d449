"""Configuration: what a file says arrives typed; every mistake names the file, the key and what is allowed."""

from dataclasses import dataclass

import pytest

from xvkd import config
from xvkd.augmentation.config import AugmentationConfig, NoiseConfig
from xvkd.backend.backend import AdaptationConfig, BackendConfig
from xvkd.config import choices, limits
from xvkd.corpora.prepare import CorpusConfig
from xvkd.deployment.export import ExportConfig
from xvkd.distillation.config import LossConfig
from xvkd.errors import UserError
from xvkd.evaluation.report import EvaluationConfig
from xvkd.features.extraction import FeatureConfig
from xvkd.features.network_input import InputConfig
from xvkd.features.vad import VadConfig
from xvkd.features.vad_hmm import VadHmmConfig
from xvkd.nets.extraction import ExtractionConfig
from xvkd.nets.models import STUDENTS, TEACHERS, BuildRecord, build_network
from xvkd.registry import find
from xvkd.training.config import load_model_config
from xvkd.training.shards import ShardConfig


@dataclass
class Layer:
    width: int = limits(1, 10)
    kinds: list[str] = choices("relu", "norm")


@dataclass
class Recipe:
    name: str
    rate: float = limits(low=0.0)
    share: float = limits(high=1.0)
    weights: dict[str, float] = limits(low=0.0)
    fast: bool
    layer: Layer

    def validate(self) -> str | None:
        return "fast needs a rate above 0" if self.fast and not self.rate else None


GOOD = """
name: x-vector
rate: 1e-3         # a number, although YAML 1.1 calls it text
share: -0.5
weights: {mse: 1, cosine: 0.5}
fast: true
layer:
  width: 3
  kinds: [relu, norm]
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(GOOD)
    return path


def test_a_file_arrives_typed(file):
    recipe = config.load(Recipe, file)
    assert recipe == Recipe("x-vector", 0.001, -0.5, {"mse": 1.0, "cosine": 0.5}, True, Layer(3, ["relu", "norm"]))
    assert isinstance(recipe.layer, Layer) and isinstance(recipe.weights["mse"], float)


def test_overrides_replace_values(file):
    overrides = ["rate=2", "layer.width=10", "layer.kinds=[norm]", "fast=false", "weights.kl=3", "name=a b='c'"]
    recipe = config.load(Recipe, file, overrides)
    assert (recipe.rate, recipe.layer, recipe.fast) == (2.0, Layer(10, ["norm"]), False)
    assert recipe.weights == {"mse": 1.0, "cosine": 0.5, "kl": 3.0}
    assert recipe.name == "a b='c'"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("rate: 1e-3", "", "rate: missing key .*float of at least 0.0"),
        ("  width: 3\n", "", "layer.width: missing key .*int from 1 to 10"),
        ("rate: 1e-3", "rat: 1", r"rat: unknown key \(allowed: fast, layer, name, rate, share, weights\)"),
        ("width: 3", "width: 3\n  depth: 1", r"layer.depth: unknown key \(allowed: kinds, width\)"),
        ("rate: 1e-3", "rate: fast", "rate: .*'fast'.*float of at least 0.0"),
        ("width: 3", "width: 2.5", "layer.width: .*2.5.*int from 1 to 10"),
        ("fast: true", "fast: perhaps", "fast: .*perhaps.*bool"),
        ("rate: 1e-3", "rate: -1", "rate: -1.0 is impossible .*at least 0"),
        ("rate: 1e-3", "rate: .nan", "rate: nan is impossible .*at least 0"),
        ("share: -0.5", "share: 1.1", "share: 1.1 is impossible .*at most 1.0"),
        ("width: 3", "width: 11", "layer.width: 11 is impossible .*from 1 to 10"),
        ("width: 3", "width: 0", "layer.width: 0 is impossible"),
        ("cosine: 0.5", "cosine: -0.5", "weights: -0.5 is impossible"),
        ("norm]", "tanh]", "layer.kinds: tanh is impossible .*one of relu, norm"),
        ("kinds: [relu, norm]", "kinds: relu", "layer.kinds: .*list"),
        ("rate: 1e-3", "rate: 0", "recipe.yaml: fast needs a rate above 0"),
        ("fast: true", "fast: true\nfast: false", "not valid YAML: .*duplicate key fast"),
        ("[relu, norm]", "[relu, norm", "not valid YAML"),
    ],
)
def test_a_mistake_is_named(file, old, new, message):
    file.write_text(GOOD.replace(old, new))
    with pytest.raises(UserError, match=message) as caught:
        config.load(Recipe, file)
    assert str(file) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("rate", "expected key=value, for instance"),
        ("=3", "expected key=value"),
        ("rat=3", "rat: unknown key"),
        ("layer.depth=3", "layer.depth: unknown key"),
        ("rate.x=3", "rate: .*float"),
        ("rate=", "rate: .*float of at least 0.0"),
        ("rate=[1", "override .* does not fit"),
        ("layer.kinds.7=norm", "override .* does not fit"),
        ("layer.width=99", "layer.width: 99 is impossible"),
    ],
)
def test_a_mistaken_override_is_named(file, override, message):
    with pytest.raises(UserError, match=message) as caught:
        config.load(Recipe, file, [override])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"- 1\n- 2\n", b"3\n", b"\xff\xfe\x00binary\x80", b""])
def test_a_file_that_is_no_mapping_is_told(file, content):
    file.write_bytes(content)
    with pytest.raises(UserError, match="recipe.yaml: (expected 'key: value' lines|not valid YAML|fast: missing key)"):
        config.load(Recipe, file)


def test_a_missing_file_comes_with_those_that_there_are(file):
    file.with_name("other.yaml").write_text(GOOD)
    with pytest.raises(UserError, match=r"small.yaml: no such configuration file \(there are: other, recipe\)"):
        config.load(Recipe, file.with_name("small.yaml"))


def test_a_file_stands_on_its_base(file):
    small = file.with_name("small.yaml")
    small.write_text("base: recipe\nrate: 2\nlayer: {width: 1}\n")
    smaller = file.with_name("smaller.yaml")
    smaller.write_text("base: small\nlayer: {kinds: [norm]}\nweights: {kl: 1}\n")
    recipe = config.load(Recipe, smaller, ["layer.width=2"])
    expected = {"mse": 1.0, "cosine": 0.5, "kl": 1.0}
    assert recipe == Recipe("x-vector", 2.0, -0.5, expected, True, Layer(2, ["norm"]))
    small.write_text("base: nowhere\n")
    with pytest.raises(UserError, match=r"nowhere.yaml: no such configuration file \(there are: recipe, small"):
        config.load(Recipe, small)
    small.write_text("base: smaller\n")
    with pytest.raises(UserError, match="stand on each other"):
        config.load(Recipe, small)


def test_a_section_can_do_without_its_base(file):
    """What stands there under its name is left out, also below a further file."""
    small = file.with_name("small.yaml")
    small.write_text("base: recipe\nweights: {base: null, kl: 1}\n")
    smaller = file.with_name("smaller.yaml")
    smaller.write_text("base: small\nweights: {mse: 2}\n")
    assert config.load(Recipe, small) == Recipe("x-vector", 0.001, -0.5, {"kl": 1.0}, True, Layer(3, ["relu", "norm"]))
    assert config.load(Recipe, smaller).weights == {"kl": 1.0, "mse": 2.0}
    small.write_text("base: recipe\nlayer: {base: null, width: 1}\n")
    with pytest.raises(UserError, match=r"small.yaml: layer.kinds: missing key"):
        config.load(Recipe, small)


def test_messages_say_where_a_section_stands():
    with pytest.raises(UserError, match=r"tdnn.yaml: arch\.width: 0 is impossible"):
        config.build(Layer, {"width": 0, "kinds": []}, "tdnn.yaml", "arch")


def test_neighbours_are_found_from_a_file():
    assert str(config.neighbour("a/conf/teachers/tdnn.yaml", "inputs", "mfcc")) == "a/conf/inputs/mfcc.yaml"


def test_every_file_of_the_project_fits_its_schema(conf):
    schemas = {
        "adaptation.yaml": AdaptationConfig, "backend.yaml": BackendConfig, "evaluation.yaml": EvaluationConfig,
        "export.yaml": ExportConfig, "extraction.yaml": ExtractionConfig, "noise.yaml": NoiseConfig,
        "shards.yaml": ShardConfig, "augmentation/*.yaml": AugmentationConfig,
        "corpora/*.yaml": CorpusConfig, "inputs/*.yaml": InputConfig, "features/vad.yaml": VadConfig,
        "features/vad_8k.yaml": VadConfig,
        "features/vad_hmm.yaml": VadHmmConfig, "features/[!v]*.yaml": FeatureConfig, "losses/*.yaml": LossConfig,
    }  # fmt: skip
    seen = set()
    for pattern, schema in schemas.items():
        for path in conf.glob(pattern):
            loaded = config.load(schema, path)
            seen.add(path)
            if schema is CorpusConfig:
                find("xvkd.corpora.sources", loaded.source)
            if schema is LossConfig:
                assert all(find("xvkd.distillation.losses", term) for term in loaded.terms)
    for path in conf.glob("objectives/*.yaml"):
        config.load(find("xvkd.training.objectives", config.read_tree(path)["kind"]).Config, path)
        seen.add(path)
    for kind, package in {"teachers": TEACHERS, "students": STUDENTS}.items():
        for path in (conf / kind).glob("*.yaml"):
            model, _, features, _ = load_model_config(path, [])
            build_network(BuildRecord(package, model.network, model.arch, features.dim, 8), str(path))
            seen.add(path)
    assert seen == set(conf.rglob("*.yaml"))
