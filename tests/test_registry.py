"""Variants by the names of their modules."""

import pytest

from xvkd import registry
from xvkd.errors import UserError


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of two variants, and a helper that is none."""
    folder = tmp_path / tmp_path.name  # another name in each test: Python remembers packages
    folder.mkdir()
    for name in ("__init__", "sweet", "sour", "_shared"):
        (folder / f"{name}.py").write_text(f"NAME = '{name}'\n")
    monkeypatch.syspath_prepend(tmp_path)
    return folder.name


def test_a_variant_is_found_by_name(package):
    assert registry.names(package) == ["sour", "sweet"]
    assert registry.find(package, "sweet").NAME == "sweet"


@pytest.mark.parametrize("name", ["bitter", "_shared", "__init__", "", "sweet.x", "../sweet"])
def test_an_unknown_variant_comes_with_those_that_there_are(package, name):
    with pytest.raises(UserError, match=rf"'{name}': no such variant in {package} \(there are: sour, sweet\)"):
        registry.find(package, name)


def test_a_new_file_is_all_it_takes(package, tmp_path):
    assert "salty" not in registry.names(package)
    (tmp_path / package / "salty.py").write_text("NAME = 'salty'\n")
    assert "salty" in registry.names(package)


@pytest.mark.parametrize(
    ("package", "attributes"),
    [
        ("xvkd.nets.teachers", ["Config", "Network"]),
        ("xvkd.nets.students", ["Config", "Network"]),
        ("xvkd.distillation.losses", ["loss"]),
        ("xvkd.corpora.sources", ["Options", "manifests|sets"]),
    ],
)
def test_the_projects_variants_have_what_callers_use(package, attributes):
    variants = registry.names(package)
    assert variants
    for name in variants:
        module = registry.find(package, name)
        for attribute in attributes:
            assert any(hasattr(module, one) for one in attribute.split("|")), f"{package}.{name}: {attribute}"
