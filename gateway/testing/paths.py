"""Where a test's files are."""

from collections.abc import Sequence
from pathlib import Path

__all__ = ["find_path"]


def find_path(path: str | Path, near: Sequence[Path]) -> Path:
    """The first that exists of `path` in each folder of `near`. Raises `FileNotFoundError`."""
    for folder in (*near, Path()):
        if (folder / path).exists():
            return folder / path
    places = " nor in ".join(str(folder) for folder in near or (Path.cwd(),))
    raise FileNotFoundError(f"{path} is not in {places}")
