"""What an embedded voice says and understands, as a TOML file: states, wishes, slots. Read `scripts/reception.toml`."""

from collections.abc import Iterator
from typing import Literal

import msgspec

__all__ = ["GLOBALS", "Action", "Intent", "Script", "Slot", "SlotType", "State", "fixed_texts"]


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


SlotType = Literal["digits", "number", "time", "day", "name", "text", "yesno", "choice"]


class Slot(_Part, frozen=True):
    """Something to ask for. `name` stands for what was answered in later texts, as in "{name}".

    `at_least`, `at_most`: of a number; of a time ("11:30"), which also decide between morning and evening;
    of digits, how many. `outside`: said when the answer is beyond them.
    """

    name: str
    type: SlotType
    prompt: str
    choices: tuple[str, ...] = ()
    at_least: int | str | None = None
    at_most: int | str | None = None
    outside: str = ""


class Action(_Part, frozen=True):
    """A function that the voice calls. Texts and string arguments may name slots; "{slot}" alone keeps its type.

    `say`: along with the call. `done`, `failed`: when its result is known. A function that the other side
    does not offer counts as done.
    """

    call: str
    arguments: dict[str, str] = {}
    say: str = ""
    done: str = ""
    failed: str = ""


class Intent(_Part, frozen=True):
    """A wish, by example phrases. It has an `answer`, or leads on by `goto`."""

    phrases: tuple[str, ...]
    answer: str = ""
    goto: str | None = None


class State(_Part, frozen=True):
    """A point of the dialogue. Entering it says `prompt`, fills `slots`, has them confirmed, acts, goes on.

    `again`: the question after an answer or a silence, `prompt` where there is none. `expect`: the intents
    understood here. `dtmf`: what a key stands for, an intent. `keys`: said when words were not understood.
    """

    prompt: str = ""
    again: str = ""
    expect: tuple[str, ...] = ()
    dtmf: dict[str, str] = {}
    keys: str = ""
    slots: tuple[Slot, ...] = ()
    confirm: str = ""
    action: Action | None = None
    goto: str | None = None


class Script(_Part, frozen=True):
    """A dialogue. In every state the caller may ask for `operator` (or press 0), a repetition (*) or say goodbye."""

    start: str
    states: dict[str, State]
    intents: dict[str, Intent] = {}
    sorry: str = "Sorry, could you say that again?"
    still_there: str = "Are you still there?"
    change: str = "All right, once more."
    more_digits: str = "Go on, please."
    operator: Action = Action(
        call="transfer_call",
        arguments={"destination": "operator"},
        say="I will connect you with a colleague. One moment, please.",
        failed="I am sorry, nobody can take your call right now.",
    )
    goodbye: Action = Action(call="end_call", say="Thank you for calling. Goodbye!")


# What is understood in every state. A script may add phrases by an intent of the same name.
GLOBALS: dict[str, tuple[str, ...]] = {
    "operator": (
        "operator",
        "agent",
        "human",
        "real person",
        "speak to a person",
        "talk to a person",
        "talk to somebody",
        "talk to someone",
        "speak to somebody",
        "speak to someone",
        "put me through",
        "speak with a colleague",
        "talk to a human being",
        "customer service",
        "representative",
    ),
    "repeat": (
        "repeat",
        "say that again",
        "come again",
        "once more",
        "pardon",
        "what did you say",
        "i did not hear you",
        "i did not catch that",
    ),
    "goodbye": (
        "goodbye",
        "thanks goodbye",
        "bye",
        "hang up",
        "see you",
        "have a nice day",
        "have a good day",
    ),
}


def fixed_texts(script: Script) -> Iterator[str]:
    """All that a script may say in the same words every time."""
    texts = [script.sorry, script.still_there, script.change, script.more_digits]
    texts += [intent.answer for intent in script.intents.values()]
    actions = [script.operator, script.goodbye, *(state.action for state in script.states.values())]
    texts += [
        text for action in actions if action is not None for text in (action.say, action.done, action.failed)
    ]
    for state in script.states.values():
        texts += [state.prompt, state.again, state.keys, state.confirm]
        texts += [text for slot in state.slots for text in (slot.prompt, slot.outside)]
    return (text for text in texts if text and "{" not in text)
