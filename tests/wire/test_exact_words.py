"""Exact words in the metadata of a response."""

import pytest

from gateway.wire.exact_words import exact_words, metadata_for


def test_a_short_sentence_stands_alone():
    assert metadata_for("Good morning.") == {"say": "Good morning."}


def test_no_value_is_longer_than_openai_takes():
    metadata = metadata_for("All our lines are busy. " * 50)

    assert list(metadata) == ["say", "say_2", "say_3"]
    assert max(map(len, metadata.values())) == 512


@pytest.mark.parametrize("words", ["", "One.", "x" * 512, "x" * 513, "There is more to be said. " * 200])
def test_the_words_come_out_as_they_went_in(words: str):
    assert exact_words(metadata_for(words) | {"idle": "yes"}) == words


def test_metadata_of_others_asks_for_no_words():
    assert exact_words({"say_2": "never", "topic": "tables"}) is None
