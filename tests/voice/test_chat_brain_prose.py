"""What a model writes becomes sentences that can be spoken, while it is still writing."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.voice.embedded.prose import Prose


def sentences(*pieces: str) -> list[str]:
    prose = Prose()
    return [*(sentence for piece in pieces for sentence in prose.write(piece)), *prose.end()]


def test_a_sentence_is_given_as_soon_as_the_next_one_begins():
    prose = Prose()

    early = prose.write("We open at nine. ")
    given_now = prose.write("O")

    assert early == []
    assert given_now == ["We open at nine."]


def test_the_rest_is_given_at_the_end():
    prose = Prose()
    prose.write("We open at")

    rest = prose.end()

    assert rest == ["We open at"]


def test_a_line_that_ends_is_a_sentence():
    prose = Prose()

    given_now = prose.write("Our hours\n")

    assert given_now == ["Our hours."]


def test_a_title_ends_no_sentence():
    assert sentences("Ask for Mr. Smith. He knows.") == ["Ask for Mr. Smith.", "He knows."]


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("**Hello.** We are *open*.", ["Hello.", "We are open."]),
        ("# Hours\n\nNine to five.", ["Hours.", "Nine to five."]),
        ("We have:\n- soup\n* fish", ["We have:", "soup.", "fish"]),
        ("1. Call us. Then wait.\n2) Come by.", ["1: Call us.", "Then wait.", "2: Come by."]),
        ("See [our page](https://example.com/a.html) now.", ["See our page now."]),
        ("Type `exit` to leave.", ["Type exit to leave."]),
        ("This:\n```python\nprint(1)\n```\nDone.", ["This:", "Done."]),
        ("<think>\nHe wants soup. Or not.\n</think>\n\nSoup it is.", ["Soup it is."]),
        ("<thinking>Hm.</thinking>Yes.", ["Yes."]),
        ("Yes.\n<tool_call>{}</tool_call>", ["Yes."]),
        ("Great! \U0001f600 See you \u2728", ["Great!", "See you"]),
        ("> Quoted.", ["Quoted."]),
        ("<b>Now</b><br/> or never.", ["Now or never."]),
        ("_Really_ my_name.", ["Really my_name."]),
        ("| Day | Hours |\n|---|---|\n| Monday | nine |", ["Day Hours", "Monday nine"]),
        ("---\n***\n\U0001f600", []),
        ("Is 3 < 5? It is -2 degrees.", ["Is 3 < 5?", "It is -2 degrees."]),
        ("", []),
    ],
)
def test_what_cannot_be_spoken_is_left_out(written: str, spoken: list[str]):
    assert sentences(written) == spoken


@pytest.mark.parametrize("written", ["Yes. <think>and so", "Yes. ```python\nprint", "Yes. <tool_call>{"])
def test_what_begins_and_does_not_end_is_not_spoken(written: str):
    assert sentences(written) == ["Yes."]


def test_what_only_looks_like_the_beginning_of_a_block_is_spoken():
    assert sentences("3 <", " 4.") == ["3 < 4."]


def test_a_long_sentence_is_given_in_parts():
    given_now = Prose().write("so much, " * 60)

    assert len(given_now) == 2
    assert max(map(len, given_now)) <= 240


MARKUP = ["\n", "- ", "1. ", "# ", "*", "`", "```", "<think>", "</think>", "[x](y)", "<", ">", "_", "|"]
WRITTEN = st.lists(
    st.sampled_from(["we", "Mr. ", "B. ", "go. ", "!", " ", "word ", ", ", "\U0001f600", *MARKUP]),
    max_size=30,
).map("".join)


@given(written=WRITTEN, seed=st.integers(0, 1000))
def test_the_sentences_do_not_depend_on_the_pieces(written: str, seed: int):
    rng = random.Random(seed)
    pieces, rest = [], written
    while rest:
        size = rng.randint(1, 5)
        pieces.append(rest[:size])
        rest = rest[size:]

    assert sentences(*pieces) == sentences(written)
