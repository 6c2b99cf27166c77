"""The dialogue along the reception's script, turn by turn."""

import pytest

from gateway.voice.embedded.brain import Act
from gateway.voice.embedded.dialogue import Dialogue
from gateway.voice.embedded.script import Action, Script, Slot, State
from gateway.voice.embedded.script_file import shipped_scripts

RECEPTION = shipped_scripts()["reception"]
AGAIN = "Is there anything else I can do for you?"


def reception(*heard: str) -> Dialogue:
    """A dialogue in which this has been said."""
    dialogue = Dialogue(RECEPTION)
    dialogue.begin()
    for text in heard:
        dialogue.heard(text)
    return dialogue


def test_it_begins_with_the_prompt_of_the_start():
    turn = Dialogue(RECEPTION).begin()

    assert turn == ("Thank you for calling the Harbour Kitchen. How can I help you?", None, ())


def test_a_question_is_answered_in_place_and_the_caller_may_go_on():
    turn = reception().heard("What time do you close?")

    assert turn.matched == "hours"
    assert turn.say.startswith("We are open from Tuesday to Sunday")
    assert turn.say.endswith(AGAIN)


def test_all_that_the_caller_says_of_a_booking_is_taken_at_once():
    turn = reception().heard("I'd like to reserve a table for four people tomorrow at half past seven.")

    assert turn.matched == "book"
    assert turn.say.endswith("A table for 4, tomorrow at 7:30 pm. Is that right?")


def test_only_what_the_caller_left_out_is_asked_for():
    turn = reception().heard("I'd like to reserve a table for four people tomorrow evening.")

    assert turn.say.endswith("At what time would you like to come?")


def test_a_confirmed_booking_is_made_with_values_that_programs_read():
    dialogue = reception("A table for two on Friday at eight.")

    turn = dialogue.heard("Yes, please.")

    assert turn == (
        "One moment, please.",
        "yes",
        (Act("book_table", {"party_size": 2, "day": "friday", "time": "20:00"}),),
    )


def test_a_booking_that_was_made_is_told():
    dialogue = reception("A table for two on Friday at eight.", "Yes.")

    turn = dialogue.told("book_table", '{"reference": "A17"}')

    assert turn.say == (
        f"Your table for 2 is booked, on Friday at 8 pm. We look forward to seeing you. {AGAIN}"
    )


def test_a_booking_that_failed_is_told():
    dialogue = reception("A table for two on Friday at eight.", "Yes.")

    turn = dialogue.told("book_table", '{"error": "no table is free"}')

    assert turn.say == f"I am sorry, I could not book this table. {AGAIN}"


def test_a_result_that_nobody_waits_for_is_no_reason_to_speak():
    turn = reception().told("book_table", "done")

    assert turn == ("", None, ())


def test_a_correction_of_one_thing_keeps_the_others():
    dialogue = reception("A table for two on Friday at eight.")

    turn = dialogue.heard("No, at nine.")

    assert turn == ("A table for 2, on Friday at 9 pm. Is that right?", "time", ())


def test_who_does_not_confirm_is_asked_again_from_the_start():
    dialogue = reception("A table for two on Friday at eight.")

    turn = dialogue.heard("No.")

    assert turn == ("All right, once more. For how many people?", "no", ())


def test_a_question_in_the_middle_of_a_booking_does_not_lose_it():
    dialogue = reception("Book a table for two.")

    turn = dialogue.heard("Are you open on Sunday?")
    after = dialogue.heard("Sunday, then.")

    assert turn.matched == "hours"
    assert turn.say.endswith("For which day?")
    assert after == ("At what time would you like to come?", "day", ())


def test_a_value_beyond_the_bounds_is_explained():
    turn = reception("Book a table").heard("Twenty people.")

    assert turn == ("We can seat up to twelve people at one table. For how many people?", "party_size", ())


def test_a_wish_can_be_given_up():
    turn = reception("Book a table").heard("Never mind.")

    assert turn == (AGAIN, "cancel", ())


def test_a_message_is_taken_with_a_number_in_two_parts():
    dialogue = reception("Can I leave a message?", "My name is John Miller.")

    more = dialogue.heard("Four one five, five five five")
    dialogue.heard("two six seven one")
    confirm = dialogue.heard("Please keep my umbrella.")
    turn = dialogue.heard("That's right.")

    assert more.say == "Go on, please."
    assert (
        confirm.say
        == "I have a message from John Miller, telephone number 4 1 5, 5 5 5, 2 6 7 1. Is that right?"
    )
    assert turn.actions == (
        Act(
            "take_message",
            {"name": "John Miller", "number": "4155552671", "message": "Please keep my umbrella."},
        ),
    )


def test_the_words_of_a_message_are_no_wishes():
    dialogue = reception("Can I leave a message?", "Anna", "415 555 2671")

    turn = dialogue.heard("Say goodbye to the chef and tell the operator of the boat that I like the menu.")

    assert turn.matched == "message"


def test_the_operator_can_be_asked_for_in_the_middle_of_anything():
    dialogue = reception("Book a table")

    turn = dialogue.heard("Let me talk to a person.")

    assert turn.matched == "operator"
    assert turn.actions == (Act("transfer_call", {"destination": "front_desk"}),)


def test_a_transfer_that_failed_goes_on_with_the_question():
    dialogue = reception("Book a table", "operator")

    turn = dialogue.told("transfer_call", "The transfer failed: nobody answered")

    assert turn.say == (
        "I am sorry, nobody at the front desk can take your call right now. For how many people?"
    )


def test_goodbye_ends_the_call():
    turn = reception().heard("Bye bye.")

    assert turn.matched == "goodbye"
    assert turn.actions == (Act("end_call", {}),)


def test_who_needs_nothing_else_is_thanked():
    turn = reception("Where are you?").heard("No, thank you.")

    assert turn.matched == "nothing"
    assert turn.say.startswith("You are welcome.")
    assert turn.actions == (Act("end_call", {}),)


def test_a_repetition_says_the_same_again():
    dialogue = reception()
    answer = dialogue.heard("Where are you?")

    turn = dialogue.heard("Could you repeat that, please?")

    assert turn == (answer.say, "repeat", ())


def test_words_that_are_not_understood_ask_again_then_offer_keys_then_transfer():
    dialogue = reception()

    first, second, third = (dialogue.heard(text) for text in ("Blue elephants.", "Red ones.", "Green ones."))

    assert first == ("Sorry, could you say that again?", None, ())
    assert second.say.startswith("Sorry, could you say that again? Press 1 for our opening hours")
    assert third.actions == (Act("transfer_call", {"destination": "front_desk"}),)


def test_understanding_something_forgives_what_was_not():
    dialogue = reception("Blue elephants.", "Red ones.", "Where are you?")

    turn = dialogue.heard("Green ones.")

    assert turn == ("Sorry, could you say that again?", None, ())


def test_an_answer_that_is_none_asks_the_question_again_and_then_offers_the_keypad():
    dialogue = reception("Book a table for two", "Friday")

    first = dialogue.heard("Blue elephants.")
    second = dialogue.heard("Red ones.")

    assert first.say == "Sorry, could you say that again? At what time would you like to come?"
    assert second.say.endswith(
        "You can also type the hour and two digits for the minutes, and press the pound key."
    )


def test_a_transcript_without_words_is_no_turn():
    dialogue = reception()

    turns = [dialogue.heard(text) for text in ("", " ", "...", "")]

    assert turns == [("", None, ())] * 4


def test_silence_asks_again_and_at_last_hangs_up():
    dialogue = reception("Book a table")

    first, second, third = (dialogue.silence() for _ in range(3))

    assert first == second == ("Are you still there? For how many people?", None, ())
    assert third.actions == (Act("end_call", {}),)


def test_a_word_ends_the_count_of_silences():
    dialogue = reception()
    dialogue.silence()
    dialogue.silence()
    dialogue.heard("Where are you?")

    turn = dialogue.silence()

    assert turn == (f"Are you still there? {AGAIN}", None, ())


def test_a_key_stands_for_a_wish():
    turn = reception().digit("1")

    assert turn.matched == "hours"


def test_a_key_without_a_meaning_is_not_understood():
    turn = reception().digit("9")

    assert turn == ("Sorry, could you say that again?", None, ())


def test_zero_is_the_operator_and_the_star_repeats():
    dialogue = reception()
    answer = dialogue.heard("Where are you?")

    repeated = dialogue.digit("*")
    operator = dialogue.digit("0")

    assert repeated == (answer.say, "repeat", ())
    assert operator.matched == "operator"


def test_a_number_is_keyed_in_silently_up_to_the_pound_key():
    dialogue = reception("Book a table")

    digits = [dialogue.digit(digit) for digit in "12"]
    turn = dialogue.digit("#")

    assert digits == [("", "party_size", ())] * 2
    assert turn == ("For which day?", "party_size", ())


def test_what_was_keyed_in_counts_when_the_caller_waits():
    dialogue = reception("Book a table")
    dialogue.digit("4")

    turn = dialogue.silence()

    assert turn == ("For which day?", "party_size", ())


def test_a_zero_within_a_number_is_a_digit():
    dialogue = reception("Book a table")

    keys = [dialogue.digit(digit) for digit in "10#"]

    assert keys[-1] == ("For which day?", "party_size", ())


def test_a_time_is_keyed_in_with_its_minutes():
    dialogue = reception("Book a table for two on Friday")

    keys = [dialogue.digit(digit) for digit in "1930#"]

    assert keys[-1].say == "A table for 2, on Friday at 7:30 pm. Is that right?"


def test_a_question_of_yes_or_no_is_answered_by_keys():
    dialogue = reception("A table for two on Friday at eight")

    turn = dialogue.digit("1")

    assert turn.matched == "yes"
    assert turn.actions[0].name == "book_table"


def test_a_question_that_no_key_answers_is_asked_again():
    dialogue = reception("Book a table for two")

    turn = dialogue.digit("7")

    assert turn.say == "Sorry, could you say that again? For which day?"


def test_two_dialogues_of_one_script_know_nothing_of_each_other():
    one, other = reception("Book a table for two"), reception()

    turn = other.heard("Friday")

    assert turn.matched is None
    assert one.heard("Friday").matched == "day"


def test_a_number_that_was_keyed_in_too_short_is_continued():
    dialogue = reception("Can I leave a message?", "Anna")

    short = [dialogue.digit(key) for key in "4155#"][-1]
    whole = [dialogue.digit(key) for key in "552671#"][-1]

    assert short == ("Go on, please.", "number", ())
    assert whole == ("What would you like to tell us?", "number", ())


def test_after_one_number_the_next_is_asked_for():
    card = Slot(name="card", type="digits", prompt="Your card?", at_most=4)
    code = Slot(name="code", type="digits", prompt="Your code?")
    state = State(
        slots=(card, code), action=Action(call="check", arguments={"card": "{card}", "code": "{code}"})
    )
    dialogue = Dialogue(Script(start="ask", states={"ask": state}))

    asked = [dialogue.digit(key) for key in "1234"][-1]
    done = [dialogue.digit(key) for key in "007#"][-1]

    assert asked == ("Your code?", "card", ())
    assert done.actions == (Act("check", {"card": "1234", "code": "007"}),)


@pytest.mark.parametrize(
    ("output", "failed"),
    [
        ("", False),
        ("booked", False),
        ('{"reference": "A17", "error": null}', False),
        ('{"error": "full"}', True),
        ("The tool failed: it took too long", True),
        ("Error 500", True),
        ("[1]", False),
    ],
)
def test_a_result_that_speaks_of_an_error_is_one(output, failed):
    dialogue = reception("A table for two on Friday at eight.", "Yes.")

    turn = dialogue.told("book_table", output)

    assert turn.say.startswith("I am sorry") is failed
