"""Files that only the gateway's own user may read, and that are never somebody else's."""

import os
from pathlib import Path
from typing import BinaryIO

# A link planted under the name, or a file that is there already, is an error and stays as it is.
NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW


def create(path: Path) -> BinaryIO:
    """A new file to write to. Raises `OSError`."""
    return os.fdopen(os.open(path, NEW, 0o600), "wb")


def append(descriptor: int, data: bytes | bytearray) -> None:
    """Write all of `data`, then close. Raises `OSError`.

    Without a file object, which asks the kernel three things more: many calls flush at once, and whatever
    their threads do takes the interpreter away from the loop.
    """
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
    finally:
        os.close(descriptor)


def sync(file: BinaryIO) -> None:
    """Wait until what was written would survive a power cut. Raises `OSError`."""
    file.flush()
    os.fsync(file.fileno())
