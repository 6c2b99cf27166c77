"""Scripts from TOML: what is wrong is found before the first call, with file, key, value and what would be right."""

from pathlib import Path

import pytest

from gateway.voice.embedded.dialogue import Dialogue
from gateway.voice.embedded.script import fixed_texts
from gateway.voice.embedded.script_file import ScriptError, read_script, read_scripts, shipped_scripts

SMALL = """
start = "desk"

[states.desk]
prompt = "How can I help?"
expect = ["hours", "order"]
dtmf = { 1 = "hours" }

[states.ordering]
confirm = "{count} pizzas. Is that right?"
goto = "desk"
slots = [{ name = "count", type = "number", prompt = "How many?", at_most = 20 }]
action = { call = "order", arguments = { count = "{count}" }, done = "Done." }

[intents.hours]
phrases = ["opening hours"]
answer = "All day."

[intents.order]
phrases = ["order a pizza"]
goto = "ordering"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "pizza.toml"
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize("name", sorted(shipped_scripts()))
def test_every_shipped_script_begins(name):
    turn = Dialogue(shipped_scripts()[name]).begin()

    assert turn.say


def test_a_small_script_is_enough(tmp_path):
    dialogue = Dialogue(read_script(written(tmp_path, SMALL)))

    dialogue.heard("I want to order pizza")
    dialogue.heard("three")
    turn = dialogue.heard("yes")

    assert turn.actions == (("order", {"count": 3}),)


def test_a_folder_gives_every_script_the_name_of_its_file(tmp_path):
    written(tmp_path, SMALL)

    scripts = read_scripts(tmp_path)

    assert list(scripts) == ["pizza"]


@pytest.mark.parametrize(
    ("right", "wrong", "line", "complaint"),
    [
        ('start = "desk"', "start desk", 2, "not TOML"),
        (
            'start = "desk"',
            'start = "dest"',
            2,
            'start = "dest": no such state; did you mean "desk"? known: desk, ord',
        ),
        ('start = "desk"', 'begin = "desk"', 2, "begin: no such section"),
        (
            'prompt = "How can I help?"',
            'promt = "Hi"',
            5,
            'states.desk.promt: no such key; did you mean "prompt"?',
        ),
        ('prompt = "How can I help?"', "prompt = 5", 5, "states.desk.prompt = 5: expected a text"),
        (
            '"hours", "order"]',
            '"hours", "odrer"]',
            6,
            'states.desk.expect[1] = "odrer": no such intent; did you mean "order"?',
        ),
        ('1 = "hours"', 'A = "hours"', 7, "states.desk.dtmf.A: there is no such key; keys are 0, 1,"),
        (
            '1 = "hours"',
            '1 = "house"',
            7,
            'states.desk.dtmf.1 = "house": no such intent expected here; did you mean "hours"?',
        ),
        (
            '"number"',
            '"nubmer"',
            12,
            'states.ordering.slots[0].type = "nubmer": expected one of digits, number',
        ),
        (
            "at_most = 20",
            'at_most = "many"',
            12,
            'states.ordering.slots[0].at_most = "many": expected a whole number',
        ),
        (
            "at_most = 20",
            "most = 20",
            12,
            'states.ordering.slots[0].most: no such key; did you mean "at_most"?',
        ),
        (
            'type = "number"',
            'type = "time"',
            12,
            "slots[0].at_most = 20: expected a time of day like '19:30'",
        ),
        ('type = "number"', 'type = "name"', 12, "slots[0].at_most = 20: a slot of type name has no bounds"),
        ('type = "number"', 'type = "choice"', 12, "slots[0].choices = []: a slot of type choice lists them"),
        (
            '"{count} pizzas',
            '"{counts} pizzas',
            10,
            'states.ordering.confirm = "counts": no such slot; did you mean "count"?',
        ),
        ('"{count} pizzas', '"{count pizzas', 10, "states.ordering.confirm"),
        (
            'call = "order",',
            'cal = "order",',
            13,
            'states.ordering.action.cal: no such key; did you mean "call"?',
        ),
        ('goto = "desk"', 'goto = "dark"', 11, 'states.ordering.goto = "dark": no such state'),
        (
            'goto = "ordering"',
            'goto = "odering"',
            21,
            'intents.order.goto = "odering": no such state; did you mean "ordering"?',
        ),
        ('answer = "All day."', "", 15, "intents.hours: give an answer, or a state to go to"),
        ('["opening hours"]', "[]", 16, "intents.hours.phrases = []: give at least one example"),
        ("[intents.hours]", "[intents.goodbye]", 15, "intents.goodbye: 'goodbye' is understood everywhere"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_what_would_be_right(tmp_path, right, wrong, line, complaint):
    assert right in SMALL
    path = written(tmp_path, SMALL.replace(right, wrong, 1))

    with pytest.raises(ScriptError) as failure:
        read_script(path)

    assert any(
        flaw.startswith(f"{path}:{line}: ") and complaint in flaw for flaw in str(failure.value).splitlines()
    )


def test_a_state_that_nobody_can_leave_is_a_mistake(tmp_path):
    path = written(tmp_path, SMALL + '\n[states.stuck]\nprompt = "Hm."\n')

    with pytest.raises(ScriptError, match=r"states\.stuck: the dialogue would end here"):
        read_script(path)


def test_states_that_only_lead_to_each_other_are_a_mistake(tmp_path):
    path = written(tmp_path, SMALL + '\n[states.a]\ngoto = "b"\n[states.b]\ngoto = "a"\n')

    with pytest.raises(ScriptError, match="a -> b -> a never asks anything"):
        read_script(path)


def test_a_script_adds_its_own_words_for_what_is_understood_everywhere(tmp_path):
    script = read_script(written(tmp_path, SMALL + '\n[intents.operator]\nphrases = ["the boss"]\n'))

    turn = Dialogue(script).heard("Give me the boss")

    assert turn.matched == "operator"


def test_texts_without_slots_are_those_that_never_change():
    texts = list(fixed_texts(shipped_scripts()["reception"]))

    assert "For how many people?" in texts
    assert not any("{" in text for text in texts)


def test_all_mistakes_are_told_at_once(tmp_path):
    path = written(tmp_path, SMALL.replace('start = "desk"', 'start = "dest"').replace("All day.", ""))

    with pytest.raises(ScriptError) as failure:
        read_script(path)

    assert len(str(failure.value).splitlines()) == 2


def test_a_folder_that_is_not_there_is_a_mistake(tmp_path):
    with pytest.raises(ScriptError, match="there is no such folder"):
        read_scripts(tmp_path / "scripts")
