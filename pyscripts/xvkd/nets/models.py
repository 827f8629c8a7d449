"""Model folders: ``config.yaml`` and ``model.safetensors``, and how to build a network from them.

A teacher that came as an ONNX file has ``model.onnx`` in the place of ``model.safetensors``.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from xvkd import config as configuration
from xvkd.errors import UserError
from xvkd.kaldi.files import atomic_write
from xvkd.nets.network import XvectorNetwork
from xvkd.nets.onnx_network import OnnxNetwork, load_network
from xvkd.nets.record import ONNX, network_file, read_record
from xvkd.registry import find

TEACHERS = "xvkd.nets.teachers"
STUDENTS = "xvkd.nets.students"


@dataclass
class BuildRecord:
    """How to build a finished model's network: what ``config.yaml`` keeps in ``build``."""

    package: str
    network: str
    arch: dict[str, Any]
    input_dim: int
    output_dim: int  # students only, else 0
    end: dict[str, Any] | None = None  # of a folded network (xvkd.nets.folded): the arguments of its ``end_at``


def build_network(record: BuildRecord, where: str) -> XvectorNetwork:
    """Makes a network with random weights.

    Args:
        record: which one, and its sizes.
        where: the configuration file, for messages.

    Raises:
        UserError: no such network, or an ``arch`` that does not fit it.
    """
    module = find(record.package, record.network)
    arch = configuration.build(module.Config, record.arch, where, "arch")
    sizes = (record.input_dim, record.output_dim) if record.package == STUDENTS else (record.input_dim,)
    network = module.Network(arch, *sizes)
    if record.end:
        network.end_at(**record.end)
    return network


def save_model(folder: str | Path, network: XvectorNetwork) -> None:
    """Writes ``model.safetensors``, under its name only when whole."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    with atomic_write(Path(folder) / "model.safetensors", "wb") as file:
        file.write(save(tensors))


def finish_model(
    folder: str | Path, network: XvectorNetwork | OnnxNetwork, record: BuildRecord, content: dict[str, Any]
) -> None:
    """Writes ``config.yaml``, then the network, with which a model counts as finished.

    Args:
        folder: the model's.
        network: whole.
        record: how to build it.
        content: what else ``config.yaml`` says: ``role``, ``loss``, ``seed``, ``input`` and more.
    """
    levels = {
        level: {"size": size, "parameters": network.num_parameters(level)} for level, size in network.levels.items()
    }
    if isinstance(network, XvectorNetwork):
        for level in levels:
            levels[level]["fan_in"] = network.fan_in(level)  # tells what the level is worth folding
    about = {"parameters": network.num_parameters(), "levels": levels, "build": asdict(record)}
    with atomic_write(Path(folder) / "config.yaml") as file:
        yaml.safe_dump({**content, **about}, file, sort_keys=False)
    if isinstance(network, OnnxNetwork):
        with atomic_write(Path(folder) / network_file(about), "wb") as file:
            file.write(network.model)
    else:
        save_model(folder, network)


def load_model(folder: str | Path) -> tuple[XvectorNetwork | OnnxNetwork, dict[str, Any]]:
    """Reads a finished model, in evaluation mode.

    Returns:
        the network and what its ``config.yaml`` says.

    Raises:
        UserError: the folder holds no finished model, or one that does not fit its configuration.
    """
    folder = Path(folder)
    config = read_record(folder)
    try:
        record = BuildRecord(**config["build"])
        if record.package == ONNX:
            return load_network(folder / network_file(config), config), config
        network = build_network(record, str(folder / "config.yaml"))
        network.load_state_dict(load_file(folder / "model.safetensors"))
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, SafetensorError) as error:
        raise UserError(f"{folder}: config.yaml and {network_file(config)} do not fit: {error}") from None
    return network.eval(), config
