"""How pytest is run on a project that uses the plugin."""

import importlib.metadata
import os
from pathlib import Path

__all__ = ["PLUGIN", "SECONDS", "environment"]

SECONDS = 60

# Where the gateway is installed, pytest finds the plugin; from a checkout it is named.
_installed = importlib.metadata.entry_points(group="pytest11", name="gateway")
PLUGIN = () if _installed else ("-p", "gateway.testing.plugin")


def environment() -> dict[str, str]:
    """That of this process, where this checkout can be imported from any folder."""
    folders = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(folders), "PYTHONDONTWRITEBYTECODE": "1"}
