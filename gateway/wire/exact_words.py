"""Words that a voice of ours is to say exactly, in the metadata of a response.

A model is told so by its instructions, and hands metadata back unread; OpenAI takes 512 characters a value.
"""

from collections.abc import Mapping

__all__ = ["exact_words", "metadata_for"]

_MOST_CHARS = 512


def metadata_for(words: str) -> dict[str, str]:
    """The metadata that asks for these words: `say`, and for more than fit there `say_2` and so on."""
    pieces = [words[at : at + _MOST_CHARS] for at in range(0, max(len(words), 1), _MOST_CHARS)]
    return {"say" if number == 1 else f"say_{number}": piece for number, piece in enumerate(pieces, 1)}


def exact_words(metadata: Mapping[str, str]) -> str | None:
    """The words that are asked for; None: whatever the voice thinks right."""
    if "say" not in metadata:
        return None
    words, number = metadata["say"], 2
    while (piece := metadata.get(f"say_{number}")) is not None:
        words += piece
        number += 1
    return words
