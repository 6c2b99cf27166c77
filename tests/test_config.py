import enum
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import ConfigError, Secret, load, secret, settings_file
from gateway.config.shape import Unshown, Variable, Written
from gateway.config.toml import line_of


class Mode(enum.StrEnum):
    FAST = "fast"
    SAFE = "safe"


class Limits(msgspec.Struct, frozen=True):
    calls: Annotated[int, msgspec.Meta(ge=1, le=500)] = 40
    wait_s: Annotated[float, msgspec.Meta(gt=0)] = 2.0


class Trunk(msgspec.Struct, frozen=True, kw_only=True):
    host: str
    port: int = 5060


def read_color(text: str) -> int:
    if "@" in text:
        raise Unshown("expected a color, no password")
    if not text.startswith("#"):
        raise ValueError("expected a color, as #ff0000")
    return int(text[1:], 16)


Color = Annotated[int, Written(read_color)]


class Door(msgspec.Struct, frozen=True, kw_only=True):
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 8080
    public_url: str | None = None
    is_open: bool = True
    origins: tuple[str, ...] = ()
    ports: Annotated[tuple[int, ...], msgspec.Meta(max_length=2)] = ()
    backend: Literal["echo", "embedded"] = "echo"
    mode: Mode = Mode.SAFE
    folder: Path = Path("calls")
    limits: Limits = Limits()
    trunks: dict[Annotated[str, msgspec.Meta(pattern="^[a-z]+$", description="a word")], Trunk] = {}
    color: Color | None = None
    colors: tuple[Color, ...] = ()


class Need(msgspec.Struct, frozen=True, kw_only=True):
    address: str = "127.0.0.1"
    public_url: str | None = None

    def __post_init__(self) -> None:
        if self.address == "0.0.0.0" and self.public_url is None:
            raise ValueError("a public address needs a public_url")


class Settings(msgspec.Struct, frozen=True):
    door: Door = Door()
    need: Need = Need()


Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str) -> Path:
        path = tmp_path / "gateway.toml"
        path.write_text(text, "utf-8")
        return path

    return write


def settings(path: Path | None = None, **environ: str) -> Settings:
    return load(Settings, path=path, environ=environ)


def error(path: Path | None = None, **environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        settings(path, **environ)
    return str(caught.value)


# -- what is read -------------------------------------------------------------------------------------


def test_without_file_and_environment_the_defaults_hold() -> None:
    assert settings() == Settings()


def test_the_file_is_read(write: Write) -> None:
    path = write('[door]\nport = 9000\norigins = ["a", "b"]\nmode = "fast"\nfolder = "x/y"\n')

    door = settings(path).door

    assert (door.port, door.origins, door.mode, door.folder) == (9000, ("a", "b"), Mode.FAST, Path("x/y"))


def test_a_section_of_a_section_is_read(write: Write) -> None:
    path = write('[door.limits]\nwait_s = 3\n[door.trunks.acme]\nhost = "a.example"\n')

    door = settings(path).door

    assert door.limits == Limits(wait_s=3.0)
    assert door.trunks == {"acme": Trunk(host="a.example")}


def test_the_environment_wins_over_the_file(write: Write) -> None:
    path = write("[door]\nport = 9000\n")

    assert settings(path, GATEWAY_DOOR__PORT="9001").door.port == 9001


@pytest.mark.parametrize(
    ("name", "text", "key", "value"),
    [
        ("GATEWAY_DOOR__PORT", "9001", "port", 9001),
        ("GATEWAY_DOOR__PUBLIC_URL", "12", "public_url", "12"),
        ("GATEWAY_DOOR__IS_OPEN", "false", "is_open", False),
        ("GATEWAY_DOOR__ORIGINS", "a, b,", "origins", ("a", "b")),
        ("GATEWAY_DOOR__ORIGINS", "", "origins", ()),
        ("GATEWAY_DOOR__PORTS", "1,2", "ports", (1, 2)),
        ("GATEWAY_DOOR__MODE", "fast", "mode", Mode.FAST),
        ("GATEWAY_DOOR__FOLDER", "/x", "folder", Path("/x")),
        ("GATEWAY_DOOR__COLOR", "#0000ff", "color", 255),
        ("GATEWAY_DOOR__COLORS", "#ff, #100", "colors", (255, 256)),
        ("GATEWAY_DOOR__LIMITS__WAIT_S", "0.5", "limits", Limits(wait_s=0.5)),
        ("GATEWAY_DOOR__TRUNKS__ACME__HOST", "a.example", "trunks", {"acme": Trunk(host="a.example")}),
    ],
)
def test_a_text_from_the_environment_becomes_what_its_key_wants(
    name: str, text: str, key: str, value: object
) -> None:
    door = settings(None, **{name: text}).door

    assert getattr(door, key) == value
    assert type(getattr(door, key)) is type(value)


def test_a_name_with_neither_two_underscores_nor_a_section_is_no_setting() -> None:
    assert settings(GATEWAY_CONFIG="elsewhere.toml", GATEWAY_DOOR_2="1", DOOR__PORT="1") == Settings()


def test_settings_are_frozen() -> None:
    with pytest.raises(AttributeError):
        setattr(settings().door, "port", 1)  # noqa: B010 - mypy knows already


# -- what is wrong ------------------------------------------------------------------------------------


def test_an_unknown_section_of_the_file_names_line_and_closest_match(write: Write) -> None:
    path = write("# doors\n\n[dor]\nport = 1\n")

    assert error(path) == f'{path}:3: dor: no such section; did you mean "door"? known: door, need'


def test_an_unknown_key_of_the_file_names_line_and_closest_match(write: Write) -> None:
    path = write("[need]\n[door]\n# prot = 2\nprot = 1\n")

    assert error(path).startswith(f'{path}:4: door.prot: no such key; did you mean "port"? known: backend, ')


def test_an_unknown_key_of_the_environment_names_the_variable() -> None:
    assert error(GATEWAY_DOOR__PROT="1").startswith('GATEWAY_DOOR__PROT: no such key; did you mean "port"?')


def test_an_unknown_section_of_the_environment_names_the_variable() -> None:
    text = error(GATEWAY_DOR__PORT="1")

    assert text == 'GATEWAY_DOR__PORT: no such section; did you mean "door"? known: door, need'


def test_the_value_of_an_unknown_key_is_not_shown_since_it_may_be_a_secret(write: Write) -> None:
    path = write('[door]\nauth_token = "canary"\n')

    assert "canary" not in error(path, GATEWAY_DOOR__TOKEN="canary")


def test_a_text_that_may_hold_a_secret_is_not_shown_where_it_is_wrong(write: Write) -> None:
    path = write('[door]\ncolor = "canary@red"\n')

    assert error(path) == f"{path}:2: door.color: expected a color, no password"
    assert error(GATEWAY_DOOR__COLOR="canary@red") == "GATEWAY_DOOR__COLOR: expected a color, no password"


@pytest.mark.parametrize(
    ("line", "right"),
    [
        ('port = "many"', 'door.port = "many": expected a whole number'),
        ("port = 65536", "door.port = 65536: expected a whole number <= 65535"),
        ("port = true", "door.port = true: expected a whole number"),
        ("public_url = 5", "door.public_url = 5: expected a text"),
        ('is_open = "yes"', 'door.is_open = "yes": expected true or false'),
        ('origins = "a"', 'door.origins = "a": expected a list'),
        ('colors = "#ff0000"', 'door.colors = "#ff0000": expected a list'),
        ("colors = 5", "door.colors = 5: expected a list"),
        ("colors = {}", "door.colors = {}: expected a list"),
        ("ports = true", "door.ports = true: expected a list"),
        ("trunks = 5", "door.trunks = 5: expected a table"),
        ("trunks = [{}]", "door.trunks = [{}]: expected a table"),
        ("origins = [1]", "door.origins[0] = 1: expected a text"),
        ("ports = [1, 2, 3]", "door.ports = [1, 2, 3]: expected a list of length <= 2"),
        ('backend = "ecco"', 'door.backend = "ecco": expected one of echo, embedded'),
        ('mode = "slow"', 'door.mode = "slow": expected one of fast, safe'),
        ("folder = 5", "door.folder = 5: expected a file path"),
        ('color = "red"', 'door.color = "red": expected a color, as #ff0000'),
        ('colors = ["#1", "red"]', 'door.colors[1] = "red": expected a color, as #ff0000'),
        ("color = 5", "door.color = 5: expected a text in quotes"),
        ("limits = 5", "door.limits = 5: expected a table"),
        ("limits = {wait_s = 0}", "door.limits.wait_s = 0: expected a number > 0.0"),
        ("limits = {wait_s = nan}", "door.limits.wait_s = NaN: expected a number > 0.0"),
        ("limits = {wait_s = inf}", "door.limits.wait_s = Infinity: expected a finite number"),
        ("trunks.acme.port = 1", "door.trunks.acme: host is missing: expected a text"),
        ('trunks.no1.host = "a"', 'door.trunks.no1 = "no1": expected a word'),
    ],
)
def test_a_wrong_value_names_line_key_value_and_what_would_be_right(
    write: Write, line: str, right: str
) -> None:
    path = write(f"[need]\n\n[door]\n{line}\n")

    assert error(path) == f"{path}:4: {right}"


@pytest.mark.parametrize(
    ("name", "text", "right"),
    [
        ("GATEWAY_DOOR__PORT", "many", "expected a whole number"),
        ("GATEWAY_DOOR__PORT", "-1", "expected a whole number >= 0"),
        ("GATEWAY_DOOR__IS_OPEN", "yes", "expected true or false"),
        ("GATEWAY_DOOR__PORTS", "1,x", "expected a whole number"),
        ("GATEWAY_DOOR__LIMITS", "5", "expected a table"),
        ("GATEWAY_DOOR__TRUNKS", "acme", "expected a table"),
        ("GATEWAY_DOOR__COLORS__X", "1", "expected a list"),
        ("GATEWAY_DOOR__TRUNKS__NO1__HOST", "a", "expected a word"),
        ("GATEWAY_DOOR", "1", "expected a table"),
        ("GATEWAY_DOOR__LIMITS__WAIT_S", "inf", "expected a finite number"),
    ],
)
def test_a_wrong_variable_names_itself_its_value_and_what_would_be_right(
    name: str, text: str, right: str
) -> None:
    assert error(None, **{name: text}).startswith(f"{name} = ")
    assert error(None, **{name: text}).endswith(f": {right}")


def test_a_variable_that_is_called_like_a_section_is_wrong_beside_those_of_its_keys() -> None:
    text = error(GATEWAY_DOOR="1", GATEWAY_DOOR__PORT="9001")

    assert text == 'GATEWAY_DOOR = "1": expected a table'


def test_all_flaws_are_reported_at_once(write: Write) -> None:
    path = write("[door]\nport = -1\nprot = 1\n[ned]\n")

    lines = error(path, GATEWAY_DOOR__IS_OPEN="perhaps").splitlines()

    assert [line.split(": ")[0] for line in lines] == [
        f"{path}:4",
        f"{path}:3",
        f"{path}:2",
        'GATEWAY_DOOR__IS_OPEN = "perhaps"',
    ]


def test_what_a_section_says_about_its_keys_together_is_a_flaw(write: Write) -> None:
    path = write('[need]\naddress = "0.0.0.0"\n')

    assert error(path) == f"{path}:1: need: a public address needs a public_url"


def test_a_missing_section_with_required_keys_says_which() -> None:
    class Required(msgspec.Struct, frozen=True):
        trunk: Trunk

    with pytest.raises(ConfigError, match=r"^trunk: host is missing: expected a text$"):
        load(Required, path=None, environ={})


def test_a_file_that_is_not_toml_names_the_line(write: Write) -> None:
    path = write("[door]\nport = \n")

    assert error(path).startswith(f"{path}:2: not TOML: ")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "none.toml"

    assert error(path) == f"{path}: cannot be read: No such file or directory"


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_bytes(b"\xff\xfe")

    assert error(path) == f"{path}: not UTF-8 text, at byte 0"


@given(st.sampled_from(list(Door.__struct_fields__)), st.text())
def test_whatever_the_environment_holds_gives_settings_or_an_error_that_names_it(key: str, text: str) -> None:
    name = f"GATEWAY_DOOR__{key.upper()}"

    try:
        outcome: object = type(getattr(settings(None, **{name: text}).door, key))
    except ConfigError as error:
        outcome = re.split(" = |: ", str(error))[0]  # what could be a secret is not shown

    assert outcome == name or (isinstance(outcome, type) and outcome is not Variable)


@given(st.text("[]\"'=.\n #{}ab"), st.lists(st.sampled_from(["a", "b"]) | st.integers(0, 3)))
def test_looking_for_a_line_finds_one_of_the_text_or_none(text: str, keys: list[str | int]) -> None:
    line = line_of(text, keys)

    assert line is None or 1 <= line <= text.count("\n") + 1


# -- which file ---------------------------------------------------------------------------------------


def test_the_given_file_goes_before_the_named_one() -> None:
    assert settings_file(Path("a.toml"), {"GATEWAY_CONFIG": "b.toml"}) == Path("a.toml")


def test_the_environment_names_the_file() -> None:
    assert settings_file(None, {"GATEWAY_CONFIG": "b.toml"}) == Path("b.toml")


def test_the_usual_file_is_taken_only_if_it_is_there(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = settings_file(None, {})

    write("")

    assert (before, settings_file(None, {})) == (None, Path("gateway.toml"))


# -- secrets ------------------------------------------------------------------------------------------


def test_a_secret_comes_from_its_variable() -> None:
    found = secret("TOKEN", {"TOKEN": "canary"})

    assert found is not None
    assert found.reveal() == "canary"


def test_a_secret_comes_from_a_file_without_its_newline(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("canary\n", "utf-8")

    found = secret("TOKEN", {"TOKEN_FILE": str(path)})

    assert found is not None
    assert found.reveal() == "canary"


@pytest.mark.parametrize("environ", [{}, {"TOKEN": ""}, {"TOKEN": "", "TOKEN_FILE": ""}])
def test_an_absent_secret_is_none(environ: dict[str, str]) -> None:
    assert secret("TOKEN", environ) is None


def test_a_secret_does_not_show_itself() -> None:
    found = Secret("canary")

    assert "canary" not in f"{found} {found!r} {[found]} {msgspec.structs.asdict(Holder(found))}"


def test_a_secret_given_twice_is_an_error_that_does_not_show_it(tmp_path: Path) -> None:
    path = tmp_path / "token"

    with pytest.raises(ConfigError, match=r"^TOKEN and TOKEN_FILE are both set: keep one$"):
        secret("TOKEN", {"TOKEN": "canary", "TOKEN_FILE": str(path)})


def test_a_secret_whose_file_is_missing_names_variable_and_file(tmp_path: Path) -> None:
    path = tmp_path / "token"

    with pytest.raises(ConfigError) as caught:
        secret("TOKEN", {"TOKEN_FILE": str(path)})

    assert str(caught.value) == f"TOKEN_FILE: {path}: cannot be read: No such file or directory"


def test_an_empty_file_is_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("\n", "utf-8")

    with pytest.raises(ConfigError, match=r"^TOKEN_FILE = .*token\": the file is empty$"):
        secret("TOKEN", {"TOKEN_FILE": str(path)})


class Holder(msgspec.Struct):
    token: Secret
