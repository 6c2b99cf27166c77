"""What the documents say, held against the product."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import click
import msgspec
import pytest

from gateway.carriers.twilio import calls as twilio_calls
from gateway.carriers.twilio.leg_core import LONGEST_GAP_MS, TRAITS
from gateway.carriers.twilio.rest import MOST_TWIML_CHARS
from gateway.carriers.twilio.webhooks import MOST_BODY_BYTES, MOST_FIELDS
from gateway.cli import main
from gateway.config import load
from gateway.contracts import ENDINGS, Agent
from gateway.dialplan.actions import Action
from gateway.dialplan.document import AgentTable, RouteTable
from gateway.dialplan.plan import check
from gateway.media.playout import MOST_QUEUED_MS
from gateway.net import exchange, websocket
from gateway.settings import Secrets, Settings
from gateway.telemetry.metrics import Metrics
from gateway.voice.backends import BACKENDS
from gateway.voice.embedded import script
from gateway.voice.embedded.script_file import read_script

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "ops" / "docs"
PAGES = [ROOT / "README.md", ROOT / "ops" / "CHANGELOG.md", *sorted(DOCS.glob("*.md"))]
SOURCE = "\n".join(path.read_text() for path in sorted((ROOT / "gateway").rglob("*.py")))

of_every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def fences(page: Path) -> list[tuple[str, str]]:
    """The language and the text of each block of code."""
    found = re.findall(r"(?ms)^( *)```(\w*)\n(.*?)^ *```$", page.read_text())
    return [(language, re.sub(rf"(?m)^{indent}", "", text)) for indent, language, text in found]


def prose(page: Path) -> str:
    return re.sub(r"(?ms)^ *```.*?^ *```$", "", page.read_text())


def inline_code(page: Path) -> list[str]:
    return re.findall(r"`([^`\n]+)`", prose(page))


def code(page: Path) -> list[str]:
    """All lines of code, in blocks and in sentences."""
    return [line for _, text in fences(page) for line in text.splitlines()] + inline_code(page)


def section(page: Path, title: str) -> str:
    match = re.search(rf"(?ms)^## {re.escape(title)}\n(.*?)(?=^## |\Z)", page.read_text())
    assert match is not None
    return match[1]


def rows(text: str) -> list[list[str]]:
    """The cells of all tables, without the code marks; headings and rules too."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines]


def settings_of(kind: type[msgspec.Struct] = Settings, at: str = "") -> Iterator[tuple[str, Any]]:
    """Each key, dotted, and its default; `NAME` stands for the name of a table by name."""
    for field in msgspec.structs.fields(kind):
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            yield from settings_of(field.type, f"{at}{field.name}.")
        elif get_origin(field.type) is dict:
            yield from settings_of(get_args(field.type)[1], f"{at}{field.name}.NAME.")
        else:
            yield f"{at}{field.name}", field.default


def variable(key: str) -> str:
    return "GATEWAY_" + key.replace(".", "__").upper()


def written(default: Any) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    if type(default) is tuple:
        return ", ".join(map(str, default))
    return "" if default in (None, "", ()) else str(default)


def keys_of(*kinds: type) -> set[str]:
    return {field.encode_name for kind in kinds for field in msgspec.structs.fields(kind)}


# -- links --------------------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"(?m)^#+ (.+)$", page.read_text())
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@of_every_page
def test_every_link_leads_somewhere(page: Path) -> None:
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)) if "://" not in link]

    broken = []
    for link in links:
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@of_every_page
def test_every_file_of_the_checkout_that_is_named_is_there(page: Path) -> None:
    named = {
        path.rstrip(".")
        for line in code(page)
        for path in re.findall(r"(?<![\w/.-])(?:ops|gateway|tests|dialplans)/[\w./-]+", line)
    }

    if page.name == "testing.md":  # there it is the reader's own tests/
        named = {path for path in named if not path.startswith("tests/")}
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


# -- settings -----------------------------------------------------------------------------------------


def test_every_setting_stands_in_its_table_with_its_variable_and_default() -> None:
    pages = (DOCS / "operations.md", DOCS / "sip.md")
    table = [row for page in pages for row in rows(section(page, "Settings")) if "." in row[0]]

    documented = {row[0]: (row[1], row[2]) for row in table}

    assert documented == {key: (variable(key), written(default)) for key, default in settings_of()}


def test_every_secret_stands_in_its_table() -> None:
    names = {row[0] for row in rows(section(DOCS / "operations.md", "Settings"))}

    secrets = {field.name.upper() for field in msgspec.structs.fields(Secrets)}
    assert secrets - {"TRUNK_PASSWORDS"} | {"TRUNK_NAME_PASSWORD"} <= names


@of_every_page
def test_every_variable_that_is_named_exists(page: Path) -> None:
    known = {variable(key) for key, _ in settings_of()}
    scripts = (ROOT / "ops" / "environment.sh").read_text()

    named = set(re.findall(r"\bGATEWAY_\w+", page.read_text()))
    named = {re.sub("TRUNKS__[A-Z]+__", "TRUNKS__NAME__", name) for name in named}

    assert [name for name in sorted(named - known) if name not in scripts and name not in SOURCE] == []


@of_every_page
def test_every_dotted_name_is_a_setting_or_something_that_happens(page: Path) -> None:
    sections = "|".join(Settings.__struct_fields__)
    known = {key for key, _ in settings_of()}

    named = {text for text in inline_code(page) if re.fullmatch(rf"(?:{sections})\.[a-z_.]+", text)}

    assert [name for name in sorted(named - known) if f'"{name}"' not in SOURCE] == []


def test_every_event_that_operators_read_of_is_logged() -> None:
    text = section(DOCS / "operations.md", "Log")

    events = set(re.findall(r"`([a-z]+\.[a-z_]+)`", text))

    assert events
    assert [event for event in sorted(events) if f'"{event}"' not in SOURCE] == []


# -- examples in TOML ---------------------------------------------------------------------------------


def examples(page: Path) -> list[str]:
    return [text for language, text in fences(page) if language == "toml"]


def flaws_of(text: str, folder: Path) -> list[str]:
    """Read an example as what it is: a dialogue script, settings, or a dialplan."""
    path = folder / "example.toml"
    path.write_text(text)
    table = tomllib.loads(text)
    if "start" in table:
        read_script(path)
        return []
    if table.keys() <= set(Settings.__struct_fields__):
        load(Settings, path=path, environ={})
        return []
    return [str(error) for error in check(path)]


@of_every_page
def test_every_example_in_toml_is_correct(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for language, text in fences(page):
        if language == "python" and (name := re.match(r"# (\w+\.py)\n", text)):
            (tmp_path / name[1]).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)

    assert [flaw for text in examples(page) for flaw in flaws_of(text, tmp_path)] == []


def test_there_are_examples_of_each_kind() -> None:
    pages = ("dialplans.md", "operations.md", "voices.md")

    assert [len(examples(DOCS / page)) > 0 for page in pages] == [True, True, True]


@of_every_page
def test_every_example_in_python_compiles(page: Path) -> None:
    for language, text in fences(page):
        if language == "python":
            compile(text, page.name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_the_errors_that_are_shown_are_those_of_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.toml").write_text(
        '[[routes]]\nnumber = "1-555-000-1001"\nplan = "recepton"\n\n[plans.reception]\n'
        'steps = [{ do = "answer" }, { do = "hang_up" }, { do = "transfer", to = "desk" }]\n'
    )

    errors = "".join(f"{error}\n" for error in check(Path("bad.toml")))

    assert errors in [text for _, text in fences(DOCS / "dialplans.md")]


# -- commands -----------------------------------------------------------------------------------------


def command_lines(page: Path) -> list[list[str]]:
    """The words after `gateway`, wherever it is called as a command."""
    found = (re.match(r"(?:\$ )?(?:\S*/)?gateway ([a-z-].*)", line) for line in code(page))
    return [re.sub(r"[][]", "", match[1]).split() for match in found if match]


def why_no_command(words: list[str]) -> str | None:
    command: click.Command = main
    for word in words:
        if word.startswith("-"):
            options = {option for parameter in command.params for option in parameter.opts}
            if word not in options | {"--help"}:
                return f"{command.name} has no {word}"
        elif isinstance(command, click.Group):
            if word not in command.commands:
                return f"{command.name} has no {word}"
            command = command.commands[word]
    return None


@of_every_page
def test_every_command_and_option_that_is_named_exists(page: Path) -> None:
    assert [flaw for line in command_lines(page) if (flaw := why_no_command(line))] == []


def test_every_command_is_named_to_operators() -> None:
    lines = {line[0] for line in command_lines(DOCS / "operations.md")}

    assert lines == set(main.commands)


# -- tables -------------------------------------------------------------------------------------------


def test_every_ending_stands_in_its_table() -> None:
    table = rows(section(DOCS / "operations.md", "How calls end"))[2:]

    documented = {row[0]: (row[1], row[2]) for row in table}

    assert documented == {reason.value: (end.fault, end.twilio) for reason, end in ENDINGS.items()}


def test_every_metric_stands_in_its_table() -> None:
    table = rows(section(DOCS / "operations.md", "Metrics"))[2:]
    exposed = set(re.findall(r"(?m)^# HELP (gw_\w+)", Metrics().expose().decode()))

    assert {row[0] for row in table} == exposed


@of_every_page
def test_every_metric_that_is_named_exists(page: Path) -> None:
    exposed = set(re.findall(r"(?m)^# HELP (gw_\w+)", Metrics().expose().decode()))

    assert set(re.findall(r"\bgw_\w+", page.read_text())) <= exposed


def test_every_step_stands_in_its_table_with_its_keys() -> None:
    table = rows(section(DOCS / "dialplans.md", "Plans"))[2:]

    documented = {row[0]: set(re.findall(r"\w+", row[1])) for row in table}

    actions = get_args(Action)
    assert documented == {action.__struct_config__.tag: keys_of(action) for action in actions}


def test_every_key_of_an_agent_stands_in_its_table() -> None:
    table = rows(section(DOCS / "dialplans.md", "Agents"))[2:]

    assert {row[0] for row in table} == keys_of(AgentTable) == keys_of(Agent) - {"name"}


def test_every_key_of_a_route_is_named() -> None:
    named = set(re.findall(r"`(\w+)`", section(DOCS / "dialplans.md", "Routes")))

    assert keys_of(RouteTable) <= named


def test_every_key_of_a_dialogue_script_is_named() -> None:
    named = set(re.findall(r"`(\w+)`", section(DOCS / "dialplans.md", "Dialogue scripts")))
    kinds = (script.Script, script.State, script.Slot, script.Action, script.Intent)

    assert keys_of(*kinds) - named == set()


def test_every_type_of_slot_stands_in_its_table() -> None:
    table = rows(section(DOCS / "dialplans.md", "Dialogue scripts"))[2:]

    assert {row[0] for row in table} == set(get_args(script.SlotType))


def test_every_voice_has_a_section() -> None:
    titles = re.findall(r"(?m)^## (.+)$", (DOCS / "voices.md").read_text())

    assert set(titles) == set(BACKENDS)


@pytest.mark.parametrize(
    ("what", "limit"),
    [
        ("a token is valid for", f"{twilio_calls.TOKEN_S:.0f} s"),
        ("new streams after lost ones, a call", f"{twilio_calls.MOST_RESUMES}"),
        (
            "calls that are remembered, for repeated requests",
            f"{twilio_calls.MOST_CALLS}, for {twilio_calls.KEEP_S / 3600:.0f} h",
        ),
        ("head of a request", f"{exchange.HEAD_BYTES // 1024} kB, in {exchange.HEAD_S} s"),
        (
            "body of a webhook",
            f"{MOST_BODY_BYTES // 1024} kB, in {exchange.BODY_S} s, {MOST_FIELDS} fields",
        ),
        ("ping, and the time for its pong", f"every {websocket.PING_EVERY_S} s, {websocket.PONG_S} s"),
        ("agent audio sent ahead of what plays", f"{TRAITS.lead_ms} ms"),
        (
            "agent audio that waits in the gateway",
            f"{MOST_QUEUED_MS // 1000} s; beyond it the response is cancelled",
        ),
        ("agent audio that Twilio holds", f"{TRAITS.queue_ms // 1000} s"),
        ("a missing piece of caller audio is filled with silence up to", f"{LONGEST_GAP_MS // 1000} s"),
        ("TwiML by REST", f"{MOST_TWIML_CHARS} characters"),
    ],
)
def test_a_limit_is_what_the_code_has(what: str, limit: str) -> None:
    table = dict(row[:2] for row in rows(section(DOCS / "twilio.md", "Limits")))

    assert table[what] == limit


# -- manners ------------------------------------------------------------------------------------------


@of_every_page
def test_no_page_names_a_place_that_only_its_author_has(page: Path) -> None:
    everybodys = ("/opt/voice-gateway", "/etc/", "/var/lib/voice-gateway", "/path/to/", "/dev/")
    ours = ("/twilio/", "/healthz", "/readyz", "/metrics")

    text = re.sub(r"\w+://\S+", "", page.read_text())
    places = re.findall(r"(?<![\w./})*<>-])/[a-z][\w.-]*/?[\w./-]*", text)

    assert [place for place in places if not place.startswith(everybodys + ours)] == []


@of_every_page
def test_no_page_speaks_of_how_it_was_made(page: Path) -> None:
    told = re.findall(r"(?i)\bTODO\b|\bFIXME\b|\bissue \d+|(?<![\w&])#\d+\b|\bindex-url\b", page.read_text())

    assert told == []
