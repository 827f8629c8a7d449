"""Typed configuration: YAML files checked against dataclasses.

Every constant stands once, in ``conf/``: schemas have no defaults, so a missing key is an error
like an unknown key, a wrong type or an impossible value. Each error names the key, its file and
what is allowed.
"""

import dataclasses
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, OmegaConfBaseException

from xvkd.errors import UserError
from xvkd.schema import choices, limits

__all__ = ["build", "choices", "limits", "load", "neighbour", "read_tree"]

T = TypeVar("T")


def load(schema: type[T], path: str | Path, overrides: Sequence[str] = ()) -> T:
    """Reads a YAML file into a dataclass.

    A file that says ``base: x`` stands on ``x.yaml`` beside it and has only what differs. A section in it that says
    ``base: null`` takes nothing from there.

    Args:
        schema: the dataclass that describes the file.
        path: the YAML file.
        overrides: ``key.subkey=value`` strings that replace values of the file.

    Raises:
        UserError: the file or an override does not fit the schema.
    """
    tree = _read(Path(path))
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals or not key:
            raise UserError(f"override '{override}': expected key=value, for instance training.epochs=5")
        try:
            OmegaConf.update(tree, key, yaml.safe_load(value), force_add=True)
        except (yaml.YAMLError, OmegaConfBaseException, AttributeError, TypeError) as error:
            raise UserError(f"override '{override}' does not fit {path}: {' '.join(str(error).split())}") from None
    return build(schema, OmegaConf.to_container(tree), str(path))


def read_tree(path: str | Path) -> dict[str, Any]:
    """A file's values, laid over those of its base; nothing is checked."""
    return typing.cast(dict[str, Any], OmegaConf.to_container(_read(Path(path))))


def _read(path: Path, above: tuple[Path, ...] = ()) -> DictConfig:
    """A file's tree, laid over that of its base."""
    try:
        tree = OmegaConf.load(path)
    except FileNotFoundError:
        known = ", ".join(sorted(p.stem for p in path.parent.glob("*.yaml"))) or "none"
        raise UserError(f"{path}: no such configuration file (there are: {known})") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    except OSError as error:
        if error.errno is not None:
            raise
        tree = None  # OmegaConf's complaint about a file that holds a number
    if not OmegaConf.is_dict(tree):
        raise UserError(f"{path}: expected 'key: value' lines")
    base = tree.pop("base", None)
    if base is None:
        return tree
    if path in above:
        raise UserError(f"{path}: base: {base}: the files stand on each other")
    below = _read(path.with_name(f"{base}.yaml"), (*above, path))
    for key, section in tree.items():
        if OmegaConf.is_dict(section) and "base" in section and section.base is None:
            del section["base"]
            below.pop(key, None)
    return OmegaConf.merge(below, tree)


def build(schema: type[T], values: dict[str, Any], file: str, prefix: str = "") -> T:
    """Checks a mapping against a dataclass and returns an instance of it.

    Args:
        schema: the dataclass.
        values: the mapping, as YAML gives it.
        file: where it comes from, for messages.
        prefix: the key under which it stands in that file, for messages.

    Raises:
        UserError: an unknown or missing key, a wrong type or a value outside its limits.
    """
    where = f"{file}: {prefix + '.' if prefix else ''}"
    try:
        config = OmegaConf.merge(OmegaConf.structured(schema), OmegaConf.create(_literal(values)))
        missing = sorted(OmegaConf.missing_keys(config))
        if missing:
            raise UserError(f"{where}{missing[0]}: missing key ({_describe(schema, missing[0])})")
        instance = OmegaConf.to_object(config)
    except ConfigKeyError as error:
        parent = error.parent_node
        allowed = ", ".join(sorted(str(key) for key in parent)) if parent is not None else "?"
        raise UserError(f"{where}{error.full_key}: unknown key (allowed: {allowed})") from None
    except OmegaConfBaseException as error:
        reason = str(error.msg or error).splitlines()[0]
        raise UserError(
            f"{where}{error.full_key}: {reason} ({_describe(schema, error.full_key)})"
        ) from None
    _check(instance, where)
    return typing.cast(T, instance)


def _literal(value: Any) -> Any:
    """The same with ``${`` escaped: no configuration has interpolations, but a folder's name may look like one."""
    if isinstance(value, dict):
        return {key: _literal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_literal(item) for item in value]
    return value.replace("${", r"\${") if isinstance(value, str) else value


def _field(schema: Any, key: str) -> dataclasses.Field | None:
    """The dataclass field behind a dotted key, or None."""
    field = None
    for part in key.split("."):
        name = part.split("[")[0]
        if not dataclasses.is_dataclass(schema):
            return field
        field = {f.name: f for f in dataclasses.fields(schema)}.get(name)
        if field is None:
            return None
        schema = field.type
    return field


def _describe(schema: Any, key: str) -> str:
    """What is allowed for a key, in words."""
    field = _field(schema, key or "")
    return f"expected {_expected(field)}" if field else "see its schema"


def _expected(field: dataclasses.Field) -> str:
    """What is allowed for a field, in words."""
    if dataclasses.is_dataclass(field.type):
        return "a section with " + ", ".join(f.name for f in dataclasses.fields(field.type))
    generic = typing.get_origin(field.type) is not None
    kind = str(field.type).replace("typing.", "") if generic else getattr(field.type, "__name__", str(field.type))
    return kind + _bounds(field)


def _bounds(field: dataclasses.Field) -> str:
    low, high = field.metadata.get("low"), field.metadata.get("high")
    if "choices" in field.metadata:
        return ", one of " + ", ".join(field.metadata["choices"])
    if low is not None and high is not None:
        return f" from {low} to {high}"
    if low is not None:
        return f" of at least {low}"
    if high is not None:
        return f" of at most {high}"
    return ""


def _check(instance: Any, where: str) -> None:
    """Applies limits and choices, section by section; then the schema's own ``validate``."""
    for field in dataclasses.fields(instance):
        value = getattr(instance, field.name)
        if dataclasses.is_dataclass(value):
            _check(value, f"{where}{field.name}.")
            continue
        meta = field.metadata
        flat = value.values() if isinstance(value, dict) else value if isinstance(value, list) else [value]
        for item in flat:
            wrong = (
                ("choices" in meta and item not in meta["choices"])
                or item != item  # NaN, which lies within all limits
                or (meta.get("low") is not None and item < meta["low"])
                or (meta.get("high") is not None and item > meta["high"])
            )
            if wrong:
                raise UserError(f"{where}{field.name}: {item} is impossible (expected {_expected(field)})")
    if hasattr(instance, "validate"):
        problem = instance.validate()
        if problem:
            raise UserError(f"{where.rstrip('.: ')}: {problem}")


def neighbour(path: str | Path, kind: str, name: str) -> Path:
    """The file ``conf/<kind>/<name>.yaml`` of the tree in which ``path`` is ``conf/<other>/x.yaml``."""
    return Path(path).parent.parent / kind / f"{name}.yaml"
