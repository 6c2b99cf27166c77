"""A phrase is found among words that were misheard, and nowhere else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.testing.phrases import find_phrase, spoken_words

PROMPTS = [
    "Sorry, could you say that again?",
    "I am sorry, nobody at the front desk can take your call right now.",
    "I am sorry, I could not book this table.",
    "I am sorry, I could not write your message down.",
    "Thank you for calling the Harbour Kitchen. How can I help you?",
    "Thank you for calling the Harbour Kitchen. Goodbye!",
    "Press 1 for our opening hours, 2 for our address, 3 to book a table, or 4 to leave a message.",
    "I would be glad to book a table for you.",
    "I will take a message for you.",
    "For how many people?",
    "For which day?",
    "At what time would you like to come?",
    "What would you like to tell us?",
    "What is your name?",
]

WORDS = ["we", "open", "at", "seven", "thirty", "not", "4", "12", "harbour", "street", "to"]


@pytest.mark.parametrize(
    ("phrase", "heard"),
    [
        ("How can I help you?", "Thank you for calling the harbor kitchen. How can I help you?"),
        ("the Harbour Kitchen", "the harbor kitchen"),
        ("cancelled", "It is canceled."),
        ("the old fish market", "behind the old fishmarket"),
        ("the car park", "across the road the carpark"),
        ("I can't book this table", "I cannot book this table"),
        ("What is your name?", "What did your name?"),
        ("I am sorry, I could not book this table.", "I am sorry I cannot book this table."),
        ("we are open", "we're open"),
        ("at 7:30", "at seven thirty"),
        ("at half past 11", "at half past eleven."),
        ("a table for 12", "a table for twelve"),
        ("press two", "Press to."),
        ("would you like to come", "Would you like 2 come?"),
        ("555 1234", "five five five one two three four"),
        ("7 p.m.", "at seven pm"),
    ],
)
def test_a_phrase_is_found_however_it_was_written_down(phrase: str, heard: str) -> None:
    assert find_phrase(phrase, spoken_words(heard)) is not None


@pytest.mark.parametrize(
    ("phrase", "heard"),
    [
        ("a table for four people", "a table for five people"),
        ("a table for 4", "a table for 45"),
        ("a table for 4", "a table for you"),
        ("at 7:30", "at seven"),
        ("at seven", "at seven thirty"),
        ("your table is booked", "your table is not booked"),
        ("your table is not booked", "your table is booked"),
        ("nobody can take your call", "nobody can"),
        ("goodbye", ""),
    ],
)
def test_what_was_not_said_is_not_found(phrase: str, heard: str) -> None:
    assert find_phrase(phrase, spoken_words(heard)) is None


def test_the_prompts_of_a_dialogue_are_not_taken_for_each_other() -> None:
    taken = [(p, q) for p in PROMPTS for q in PROMPTS if find_phrase(p, spoken_words(q)) is not None]

    assert taken == [(prompt, prompt) for prompt in PROMPTS]


def test_the_end_of_the_phrase_is_told() -> None:
    words = spoken_words("We are open. Anything else?")

    assert find_phrase("we are open", words) == 3


def test_the_first_of_equals_is_found() -> None:
    assert find_phrase("yes please", spoken_words("yes please, yes please")) == 2


def test_a_phrase_without_words_is_refused() -> None:
    with pytest.raises(ValueError, match="no word"):
        find_phrase("…", ["hello"])


@given(
    st.lists(st.sampled_from(WORDS)),
    st.text(max_size=30),
)
def test_what_was_said_is_found_in_itself_with_anything_before(words: list[str], before: str) -> None:
    phrase = spoken_words(" ".join(words))
    heard = [*spoken_words(before), *phrase]

    assert not phrase or find_phrase(" ".join(phrase), heard) is not None
