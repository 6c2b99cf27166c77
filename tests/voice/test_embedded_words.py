"""Words, numbers, times and days in transcripts; texts as they are said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.voice.embedded.script import Slot
from gateway.voice.embedded.slots import find, fits, keyed
from gateway.voice.embedded.spoken import LONGEST_SENTENCE, sentences, spell_out
from gateway.voice.embedded.times import clock_minutes, find_day, find_time, speak_time
from gateway.voice.embedded.words import number_at, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("What's the time, please?", "what is the time please"),
        ("I'd like it; I can't wait.", "i would like it i can not wait"),
        ("At half-past seven to-morrow.", "at half past seven tomorrow"),
        ("Good-bye. Good by!", "goodbye goodbye"),
        ("7:30 p.m.", "7:30 pm"),
        ("Seven thirty p M..", "seven thirty pm"),
        ("7.30pm", "7:30 pm"),
        ("8 o'clock", "8 oclock"),
        ("1,250 people", "1250 people"),
        ("\u00dcmit\u2019s caf\u00e9", "\u00fcmit is caf\u00e9"),
        ("...", ""),
    ],
)
def test_a_transcript_becomes_plain_words(text, words):
    assert words_of(text) == words.split()


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("7", (7, 1)),
        ("twenty one", (21, 2)),
        ("twenty people", (20, 1)),
        ("nineteen", (19, 1)),
        ("two hundred", (2, 1)),
    ],
)
def test_numbers_are_read_from_digits_and_words(text, number):
    assert number_at(text.split(), 0) == number


@pytest.mark.parametrize("text", ["people", "12345", ""])
def test_what_is_no_number_is_none(text):
    assert number_at(text.split(), 0) is None


@given(st.text(max_size=80))
def test_any_text_has_words(text):
    words = words_of(text)

    assert all(word and word == word.lower() for word in words)


@pytest.mark.parametrize(
    ("text", "clock"),
    [
        ("at seven", "19:00"),
        ("seven thirty", "19:30"),
        ("7:30 p.m.", "19:30"),
        ("19:30", "19:30"),
        ("half past eight", "20:30"),
        ("quarter to nine", "20:45"),
        ("ten past six", "18:10"),
        ("noon", "12:00"),
        ("twelve thirty", "12:30"),
        ("11 in the morning", "11:00"),
        ("eight in the evening", "20:00"),
        ("eight o'clock", "20:00"),
        ("1930", "19:30"),
        ("one", "13:00"),
        ("around nine tonight", "21:00"),
        ("9 a.m.", "09:00"),
        ("midnight", "00:00"),
    ],
)
def test_a_time_is_found_however_it_is_said(text, clock):
    found = find_time(
        words_of(text), asked=True, earliest=clock_minutes("11:30"), latest=clock_minutes("22:00")
    )

    assert found is not None
    assert found.minutes == clock_minutes(clock)


@pytest.mark.parametrize("text", ["a table for four people tomorrow evening", "for two", "number 7", ""])
def test_a_bare_number_is_no_time_unless_asked_for(text):
    assert find_time(words_of(text), asked=False) is None


def test_the_words_of_a_time_are_taken_out():
    found = find_time(words_of("a table at half past seven for two"), asked=False)

    assert found is not None
    assert found.rest == ["a", "table", "for", "two"]


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("tonight", "today"),
        ("today please", "today"),
        ("to-morrow evening", "tomorrow"),
        ("on Fridays", "friday"),
        ("next Friday", "next friday"),
        ("May 3rd", "may 3"),
        ("the third of May", "may 3"),
        ("the twenty-first of December", "december 21"),
        ("December the thirty first", "december 31"),
    ],
)
def test_a_day_is_found_as_the_caller_named_it(text, day):
    found = find_day(words_of(text))

    assert found is not None
    assert found.name == day


@pytest.mark.parametrize("text", ["seven", "some day", "may I come"])
def test_what_names_no_day_is_none(text):
    assert find_day(words_of(text)) is None


@pytest.mark.parametrize(
    ("clock", "spoken"), [("19:30", "7:30 pm"), ("12:00", "12 pm"), ("00:05", "12:05 am")]
)
def test_a_time_is_read_out_as_people_write_it(clock, spoken):
    assert speak_time(clock_minutes(clock)) == spoken


@pytest.mark.parametrize("clock", ["24:00", "7", "7:60", "", "seven"])
def test_what_is_no_time_of_day_is_refused(clock):
    with pytest.raises(ValueError, match="is no time of day"):
        clock_minutes(clock)


@given(
    st.lists(
        st.sampled_from(
            (
                "at",
                "half",
                "past",
                "seven",
                "to",
                "nine",
                "pm",
                "am",
                "in",
                "the",
                "morning",
                "7:30",
                "1930",
                "two",
            )
        )
    )
)
def test_any_words_give_a_time_of_day_or_none(words):
    found = find_time(words, asked=True)

    assert found is None or 0 <= found.minutes < 24 * 60


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("number", "Four.", 4),
        ("number", "For", 4),
        ("number", "Till.", 2),
        ("number", "A couple of us", 2),
        ("number", "Just me", 1),
        ("digits", "four one five, double five, 26", "4155526"),
        ("digits", "oh seven to ate", "0728"),
        ("yesno", "Yeah, that's right", "yes"),
        ("yesno", "That's not right", "no"),
        ("name", "Hi, uh, my name is John Miller.", "John Miller"),
        ("name", "It's Anna", "Anna"),
        ("text", "Keep my umbrella.", "Keep my umbrella."),
    ],
)
def test_an_answer_to_a_question_is_found(kind, text, value):
    found = find(Slot(name="it", type=kind, prompt="?"), text, words_of(text), asked=True)

    assert found is not None
    assert found.value == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("number", "blue"),
        ("digits", "blue"),
        ("yesno", "maybe"),
        ("name", "I do not want to tell you my name at all"),
        ("text", ""),
    ],
)
def test_an_answer_that_is_none_is_not_found(kind, text):
    assert find(Slot(name="it", type=kind, prompt="?"), text, words_of(text), asked=True) is None


def test_a_choice_is_understood_like_a_wish():
    slot = Slot(name="room", type="choice", prompt="?", choices=("the garden", "the terrace"))

    found = find(slot, "On the terrace, please", [], asked=True)

    assert found is not None
    assert found.value == "the terrace"


@pytest.mark.parametrize(
    ("kind", "keys", "value"),
    [
        ("number", "12", 12),
        ("digits", "0049", "0049"),
        ("yesno", "2", "no"),
        ("time", "730", "19:30"),
        ("choice", "2", "b"),
    ],
)
def test_keys_give_values(kind, keys, value):
    slot = Slot(name="it", type=kind, prompt="?", choices=("a", "b") if kind == "choice" else ())

    found = keyed(slot, keys)

    assert found is not None
    assert found.value == value


@pytest.mark.parametrize(
    ("kind", "keys"), [("yesno", "3"), ("choice", "3"), ("choice", "0"), ("day", "1"), ("text", "1")]
)
def test_keys_that_are_no_value_give_none(kind, keys):
    slot = Slot(name="it", type=kind, prompt="?", choices=("a", "b") if kind == "choice" else ())

    assert keyed(slot, keys) is None


@pytest.mark.parametrize(
    ("kind", "bounds", "value", "right"),
    [
        ("number", (1, 12), 12, True),
        ("number", (1, 12), 13, False),
        ("digits", (7, None), "123456", False),
        ("time", ("11:30", "21:30"), "21:31", False),
        ("time", (None, "21:30"), "09:00", True),
        ("name", (None, None), "Anna", True),
    ],
)
def test_bounds_are_of_the_number_the_digits_or_the_time(kind, bounds, value, right):
    slot = Slot(name="it", type=kind, prompt="?", at_least=bounds[0], at_most=bounds[1])

    assert fits(slot, value) is right


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("Your code is 4719.", "Your code is four seven one nine."),
        ("Call 415-555-2671 now.", "Call four one five, five five five, two six seven one now."),
        ("Call 415.555.2671", "Call four one five, five five five, two six seven one"),
        ("Call +1 (415) 555-2671", "Call plus one, four one five, five five five, two six seven one"),
        ("Room AB12 is ready", "Room A B one two is ready"),
        ("At 7:30pm for $42.50", "At 7:30pm for $42.50"),
        ("On March 3, 2024 and in 1998", "On March 3, 2024 and in 1998"),
        ("12 Harbour Street, 250 people, 1,250 seats", "12 Harbour Street, 250 people, 1,250 seats"),
    ],
)
def test_codes_are_spelled_and_quantities_are_not(text, spoken):
    assert spell_out(text) == spoken


def test_a_text_is_cut_where_a_speaker_would_stop():
    parts = sentences('Hello, Mr. Miller! Is it 7 p.m. already? "Yes." It is.')

    assert parts == ["Hello, Mr. Miller!", "Is it 7 p.m. already?", '"Yes.', "It is."]


@given(st.text(max_size=2000))
def test_no_part_of_any_text_is_too_long(text):
    parts = sentences(text)

    assert all(part and len(part) <= LONGEST_SENTENCE for part in parts)
