"""A voice that calls a function, for sessions."""

from gateway.voice.backends.scripted import ScriptedBackend, ScriptedSettings
from gateway.voice.embedded.script import Action, Intent, Script, State
from tests.voice.voice_caller import inline

ASKED = "What is the weather?"
RAIN, NOBODY_KNOWS = "It will rain.", "I do not know."
_FORECAST = Action(
    call="forecast",
    arguments={"city": "Oslo"},
    say="One moment, please.",
    done=RAIN,
    failed=NOBODY_KNOWS,
)
_SCRIPT = Script(
    start="talk",
    states={
        "talk": State(prompt="Hello.", expect=("weather",)),
        "weather": State(action=_FORECAST, goto="talk"),
    },
    intents={"weather": Intent(phrases=("what is the weather",), goto="weather")},
)


def forecaster(*hears: str) -> ScriptedBackend:
    """Asks `forecast(city="Oslo")` about the weather, and goes on when it knows."""
    settings = ScriptedSettings(hears=hears or (ASKED,) * 20)
    return ScriptedBackend(settings, inline, scripts={"reception": _SCRIPT})
