"""What callers say for the same wish, in their words and in those of a recognizer."""

import pytest

from gateway.voice.embedded import matching
from gateway.voice.embedded.dialogue import Dialogue
from gateway.voice.embedded.matching import Phrasebook, nearest
from gateway.voice.embedded.script_file import shipped_scripts
from gateway.voice.embedded.words import words_of

RECEPTION = shipped_scripts()["reception"]
SAID = {
    "hours": [
        "What time do you close?",
        "Are you open on Sunday?",
        "When do you open tomorrow?",
        "how late are you open tonight",
        "what are your hours",
        "Could you tell me your opening times please?",
        "Do you open on Mondays?",
        "what hours are you open",
        "Hi, uh, are you guys still open?",
        "When does the kitchen close?",
        "Until when are you open?",
        "what time are you open until",
        "opening ours",
        "I was wondering when you close today.",
        "Are you closed on Mondays?",
        "Is the restaurant open now?",
    ],
    "address": [
        "Where are you located?",
        "what's your address",
        "How do I get to your restaurant?",
        "Can you tell me where you are?",
        "Where can I find you?",
        "Is there parking?",
        "I need directions",
        "what street are you on",
        "where is the restaurant",
        "Do you have a parking lot?",
        "whats the address please",
    ],
    "menu": [
        "What's on the menu?",
        "Do you have vegetarian food?",
        "do you serve fish",
        "What kind of food do you have?",
        "Do you have anything vegan?",
        "what dishes do you have",
    ],
    "book": [
        "I'd like to reserve a table for four people tomorrow evening.",
        "I want to book a table",
        "Can I make a reservation for Friday?",
        "Table for two please",
        "We'd like to come for dinner, do you have a table?",
        "I would like to make a booking",
        "could I get a table for six at eight",
        "Reserve a table",
        "I'd like a reservation for tonight",
        "A table for twenty on Saturday",
        "can i reserve",
        "do you have a table free on saturday",
        "I need a table for three",
        "I would like to book a table for four.",
        "Is it possible to book for Sunday?",
        "Are there any tables left for tonight?",
    ],
    "message": [
        "Can I leave a message?",
        "I'd like to leave a message for the manager",
        "please call me back",
        "could someone call me back tomorrow",
        "take a message please",
        "I have a message for the chef",
    ],
    "operator": [
        "operator",
        "Can I speak to a person, please?",
        "agent",
        "I want to talk to a human",
        "let me talk to someone",
        "Could you connect me to the front desk?",
        "I need to speak with somebody",
        "human please",
        "Can I speak to the manager?",
        "real person",
        "put me through to someone",
        "Give me a representative",
        "I'd like to talk to a real human being.",
    ],
    "goodbye": [
        "Goodbye.",
        "bye",
        "Bye bye!",
        "Good-bye.",
        "okay bye",
        "Thanks, goodbye",
        "have a nice day",
        "That's it, good bye.",
    ],
    "nothing": [
        "No.",
        "No, thank you.",
        "that's all",
        "Nope",
        "nothing else thanks",
        "No that's it",
        "No, that would be all.",
        "That's everything, thank you",
        "Thank you very much.",
        "I'm good, thanks",
        "no thanks",
    ],
    "repeat": [
        "Could you repeat that?",
        "pardon?",
        "Say that again please",
        "what did you say",
        "Sorry, I didn't hear you",
        "I didn't catch that",
        "Repeat",
        "can you say it again",
    ],
}


@pytest.mark.parametrize(("wish", "text"), [(wish, text) for wish, said in SAID.items() for text in said])
def test_a_wish_is_understood_however_it_is_put(wish, text):
    turn = Dialogue(RECEPTION).heard(text)

    assert turn.matched == wish


NOT_MEANT = (
    "My dog is called Rufus.",
    "banana helicopter",
    "The weather is nice.",
    "I bought a new car yesterday",
    "Till.",
    "What's the capital of France?",
    "um",
    "the quick brown fox",
    "Hello?",
    "How much is a flight to Rome?",
    "It was raining all day",
    "My computer is broken",
    "Yes.",
)


@pytest.mark.parametrize("text", NOT_MEANT)
def test_what_is_no_wish_is_not_taken_for_one(text):
    turn = Dialogue(RECEPTION).heard(text)

    assert turn.matched is None


def test_a_word_of_few_wishes_says_more_than_one_of_many():
    book = Phrasebook({"book": ["book table"], "free": ["free table"], "set": ["set table"]})

    match = book.best(words_of("the table, set"), ["book", "free", "set"])

    assert match is not None
    assert match.intent == "set"


def test_only_the_wishes_asked_for_are_found():
    book = Phrasebook({"hours": ["opening hours"], "address": ["your address"]})

    match = book.best(words_of("opening hours"), ["address"])

    assert match is None


def test_a_misheard_word_passes_for_the_one_it_is_like():
    book = Phrasebook({"book": ["reservation"]})

    match = book.best(words_of("I'd like a reservations"), ["book"])

    assert match is not None


def test_short_words_must_be_right():
    book = Phrasebook({"no": ["no"]})

    match = book.best(words_of("now"), ["no"])

    assert match is None


def test_without_rapidfuzz_the_same_wishes_are_understood(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "rapidfuzz.distance", None)
    matching._ratio.cache_clear()
    matching._similarity.cache_clear()

    turns = [(wish, Dialogue(RECEPTION).heard(text).matched) for wish, said in SAID.items() for text in said]

    matching._ratio.cache_clear()
    matching._similarity.cache_clear()
    assert [wish for wish, _ in turns] == [matched for _, matched in turns]


def test_the_nearest_of_some_names_is_the_one_written_most_alike():
    name = nearest("front_desk", ["kitchen", "front-desk", "manager"])

    assert name == "front-desk"
