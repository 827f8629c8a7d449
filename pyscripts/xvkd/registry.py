"""Finds a variant (network, corpus, loss) by the name of its module: a new file is all it takes."""

import importlib
import pkgutil
from types import ModuleType

from xvkd.errors import UserError


def find(package: str, name: str) -> ModuleType:
    """Imports the module ``name`` of the package ``package``.

    Args:
        package: full name of a package whose modules are the variants, for instance
            ``xvkd.nets.teachers``.
        name: the variant.

    Raises:
        UserError: there is no such variant; the message lists those that there are.
    """
    known = names(package)
    if name not in known:
        kind = package.rsplit(".", 1)[-1]
        raise UserError(f"'{name}': no such variant in {kind} (there are: {', '.join(known)})")
    return importlib.import_module(f"{package}.{name}")


def names(package: str) -> list[str]:
    """The variants of a package, sorted."""
    path = importlib.import_module(package).__path__
    return sorted(info.name for info in pkgutil.iter_modules(path) if not info.name.startswith("_"))
