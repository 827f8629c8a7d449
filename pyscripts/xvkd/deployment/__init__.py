"""Finished models in the hand: export, quantisation, and the verifier, which needs neither the recipe nor torch.

``from xvkd.deployment import Verifier`` is the Python interface; docs/deployment.md tells about all of it.
"""

from xvkd.deployment.verifier import Verifier

__all__ = ["Verifier"]
