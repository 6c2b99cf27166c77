"""What can be set of SIP, and what is refused."""

import re
import tomllib
from pathlib import Path

import pytest

from gateway.carriers.sip.checks import warnings_of
from gateway.carriers.sip.setting_texts import Listen, PortRange, read_network
from gateway.config import ConfigError
from gateway.settings import read_settings

LISTENS = {"GATEWAY_SIP__LISTEN": "udp:127.0.0.1:5060"}
TRUNK = {"GATEWAY_TRUNKS__ACME__NETWORKS": "192.0.2.0/24"}
PASSWORD = {"TRUNK_ACME_PASSWORD": "word"}


def of_acme(**values: str) -> dict[str, str]:
    """A trunk `acme` that somebody may call by, and more of its keys; a password is what it is."""
    keys = {key if key in PASSWORD else f"GATEWAY_TRUNKS__ACME__{key}": text for key, text in values.items()}
    return LISTENS | TRUNK | keys


def error(path: Path | None = None, /, **environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read_settings(path, environ)
    return str(caught.value)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without a settings file."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


# -- what can be set


def test_without_settings_there_is_no_sip():
    settings, secrets = read_settings(None, {})

    assert settings.sip.listen == ()
    assert settings.trunks == {}
    assert secrets.trunk_passwords == {}


def test_a_trunk_with_a_network_may_call_with_the_usual_codecs_and_without_srtp():
    settings, _ = read_settings(None, of_acme())

    acme = settings.trunks["acme"]
    assert settings.sip.rtp_ports == PortRange(10_000, 20_000)
    assert (acme.auth, acme.codecs, acme.srtp, acme.calls) == ("network", ("pcmu", "pcma"), "off", 100)
    assert (acme.register, acme.transfers, acme.headers) == (False, False, ())


def test_trunks_of_the_file_and_of_the_environment_are_one_table(elsewhere: Path):
    (elsewhere / "gateway.toml").write_text(
        '[sip]\nlisten = ["udp:127.0.0.1:5060"]\n[trunks.acme]\nnetworks = ["192.0.2.0/24"]\ncalls = 3\n'
    )

    settings, _ = read_settings(
        None, {"GATEWAY_TRUNKS__ACME__CALLS": "4", "GATEWAY_TRUNKS__BRANCH_2__NETWORKS": "198.51.100.7"}
    )

    assert settings.trunks["acme"].calls == 4
    assert settings.trunks["branch_2"].networks == (read_network("198.51.100.7/32"),)


def test_a_trunks_password_comes_from_its_variable_or_its_file_and_is_not_shown(elsewhere: Path):
    (elsewhere / "word").write_text("canary\n")
    environ = of_acme(USER="anna") | {"TRUNK_ACME_PASSWORD_FILE": str(elsewhere / "word")}

    settings, secrets = read_settings(None, environ)

    assert secrets.trunk_passwords["acme"].reveal() == "canary"
    assert "canary" not in f"{settings!r} {secrets!r}"


@pytest.mark.parametrize(
    ("text", "way"),
    [
        ("udp:0.0.0.0:5060", ("UDP", "0.0.0.0", 5060)),
        ("TCP:192.0.2.1:5070", ("TCP", "192.0.2.1", 5070)),
        ("tls:[::]", ("TLS", "::", 5061)),
        ("udp:[2001:DB8::1]:0", ("UDP", "2001:db8::1", 0)),
    ],
)
def test_a_way_in_is_a_transport_an_address_and_a_port(text: str, way: tuple[str, str, int]):
    assert Listen.parse(text) == way


def test_a_way_in_and_a_range_of_ports_are_shown_as_they_are_written():
    assert str(Listen.parse("tls:[::1]:5061")) == "tls:[::1]:5061"
    assert str(PortRange.parse("10000-20000")) == "10000-20000"
    assert str(PortRange.parse("0")) == "0"


@pytest.mark.parametrize(
    ("text", "pairs"), [("10000-10001", 1), ("10001-10004", 1), ("10000-20000", 5000), ("0", 0)]
)
def test_a_range_of_ports_has_room_for_so_many_calls(text: str, pairs: int):
    ports = PortRange.parse(text)

    assert ports.pairs == sum(port % 2 == 0 and port + 1 in ports.ports for port in ports.ports) == pairs


# -- what is refused


@pytest.mark.parametrize(
    ("name", "text", "right"),
    [
        (
            "SIP__LISTEN",
            "sctp:192.0.2.1:1",
            "expected udp, tcp or tls, an address and a port, as udp:0.0.0.0:5060",
        ),
        ("SIP__LISTEN", "5060", "expected udp, tcp or tls"),
        ("SIP__LISTEN", "udp:5060", "expected an IP address of this machine"),
        ("SIP__LISTEN", "udp:gateway.example:5060", "expected an IP address of this machine"),
        ("SIP__LISTEN", "udp:::5060", "expected udp, tcp or tls"),
        ("SIP__LISTEN", "udp:239.1.1.1:5060", "expected an IP address of this machine"),
        ("SIP__LISTEN", "udp:[ff02::1]:5060", "expected an IP address of this machine"),
        ("SIP__LISTEN", "udp:255.255.255.255:5060", "expected an IP address of this machine"),
        ("SIP__LISTEN", "udp:[fe80::1%lo]:5060", "expected an IP address of this machine"),
        ("SIP__EXTERNAL_HOST", "fe80::1%eth0", "expected the IP address that the outside reaches"),
        ("SIP__LISTEN", "tls:192.0.2.1:65536", "expected a port up to 65535"),
        ("SIP__EXTERNAL_HOST", "gateway.example", "expected the IP address that the outside reaches"),
        ("SIP__EXTERNAL_HOST", "0.0.0.0", "expected the IP address that the outside reaches"),
        ("SIP__EXTERNAL_HOST", "255.255.255.255", "expected the IP address that the outside reaches"),
        ("SIP__RTP_PORTS", "10000", "expected the first and the last port"),
        ("SIP__RTP_PORTS", "20000-10000", "expected the first and the last port"),
        (
            "SIP__RTP_PORTS",
            "10001-10002",
            "expected the first and the last port, an even one and its odd one",
        ),
        ("SIP__RTP_PORTS", "60000-70000", "expected the first and the last port"),
        ("TRUNKS__ACME__ADDRESS", "carrier.example", "expected a SIP URI without a user"),
        ("TRUNKS__ACME__ADDRESS", "https://carrier.example", "expected a SIP URI without a user"),
        ("TRUNKS__ACME__ADDRESS", "sip:", "expected a SIP URI without a user"),
        (
            "TRUNKS__ACME__ADDRESS",
            "sip:h;transport=sctp",
            "expected transport=udp, transport=tcp or transport=tls",
        ),
        ("TRUNKS__ACME__ADDRESS", "sips:h;transport=udp", "sips goes by TLS"),
        ("TRUNKS__ACME__ADDRESS", "sip:h?Subject=1", "expected no headers"),
        ("TRUNKS__ACME__REGISTRAR", "tel:+15550001000", "expected a SIP URI without a user"),
        ("TRUNKS__ACME__NETWORKS", "192.0.2.0/33", "expected an IP address or a network, as 192.0.2.0/24"),
        ("TRUNKS__ACME__NETWORKS", "192.0.2", "expected an IP address or a network"),
        ("TRUNKS__ACME__NETWORKS", "carrier.example", "names are not looked up"),
        ("TRUNKS__ACME__NETWORKS", "192.0.2.7/24", 'a network ends in zeros; did you mean "192.0.2.0/24"?'),
        ("TRUNKS__ACME__NETWORKS", "::ffff:192.0.2.7", 'did you mean "192.0.2.7"?'),
        ("TRUNKS__ACME__AUTH", "password", "expected one of network, digest"),
        ("TRUNKS__ACME__USER", "a:b", "expected the name of an account"),
        (
            "TRUNKS__ACME__CALLER_ID",
            "sip:a@h",
            "expected a number, as +15550001000, or the name of an account",
        ),
        ("TRUNKS__ACME__CODECS", "g722", "expected one of pcmu, pcma"),
        ("TRUNKS__ACME__SRTP", "on", "expected one of off, optional, required"),
        ("TRUNKS__ACME__HEADERS", "Via", "is the SIP stack's own"),
        ("TRUNKS__ACME__HEADERS", "m", "is the SIP stack's own"),
        ("TRUNKS__ACME__HEADERS", "authorization", "is the SIP stack's own"),
        ("TRUNKS__ACME__HEADERS", "X Account", "expected the name of a header, as Diversion"),
        ("TRUNKS__ACME__CALLS", "0", "expected a whole number >= 1"),
        ("TRUNKS__ACME__CALLS_PER_S", "0", "expected a whole number >= 1"),
        ("TRUNKS__ACME__PING_S", "-1", "expected a number >= 0"),
    ],
)
def test_a_value_of_sip_that_cannot_be_is_refused_with_what_would_be_right(name: str, text: str, right: str):
    message = error(**(LISTENS | TRUNK | {f"GATEWAY_{name}": text}))

    assert message.startswith(f'GATEWAY_{name} = "{text}": ')
    assert right in message


@pytest.mark.parametrize(
    ("line", "right"),
    [
        ('networks = "192.0.2.1"', 'networks = "192.0.2.1": expected a list'),
        ("networks = 5", "networks = 5: expected a list"),
        ("networks = {}", "networks = {}: expected a list"),
        ('headers = "X-Account"', 'headers = "X-Account": expected a list'),
        ("caller_id = 5", "caller_id = 5: expected a text in quotes"),
    ],
)
def test_a_value_of_the_wrong_kind_in_a_file_is_refused_with_line_and_key(
    elsewhere: Path, line: str, right: str
):
    path = elsewhere / "mine.toml"
    path.write_text(f"[trunks.acme]\n{line}\n")

    assert error(path) == f"{path}:2: trunks.acme.{right}"


def test_ports_are_a_text_and_no_number(elsewhere: Path):
    path = elsewhere / "mine.toml"
    path.write_text("[sip]\nrtp_ports = 0\n")

    assert error(path) == f"{path}:2: sip.rtp_ports = 0: expected a text in quotes"


def test_a_table_that_is_none_is_refused_beside_variables_of_its_keys(elsewhere: Path):
    path = elsewhere / "mine.toml"
    path.write_text("trunks = 5\n")

    assert error(GATEWAY_TRUNKS__ACME="x", **TRUNK) == 'GATEWAY_TRUNKS__ACME = "x": expected a table'
    assert error(path, **TRUNK) == f"{path}:1: trunks = 5: expected a table"


@pytest.mark.parametrize(("text", "right"), [("trunks = 5", "trunks = 5"), ("[[trunks]]", "trunks = [{}]")])
def test_trunks_are_tables_by_name(elsewhere: Path, text: str, right: str):
    path = elsewhere / "mine.toml"
    path.write_text(f"{text}\n")

    assert error(path) == f"{path}:1: {right}: expected a table"


@pytest.mark.parametrize("name", ["TRUNKS", "SIP", "TRUNKS__ACME"])
def test_a_variable_that_is_called_like_a_table_is_refused(name: str):
    assert error(**{f"GATEWAY_{name}": "foo"}) == f'GATEWAY_{name} = "foo": expected a table'


def test_a_bad_name_of_a_trunk_in_a_variable_names_the_variable(elsewhere: Path):
    (elsewhere / "gateway.toml").write_text('[trunks.acme]\nnetworks = ["192.0.2.0/24"]\n')

    message = error(**LISTENS, GATEWAY_TRUNKS__1ST__NETWORKS="192.0.2.1")

    assert message == (
        'GATEWAY_TRUNKS__1ST__NETWORKS = "1st": '
        "expected a trunk's name of small letters, digits and single _, as my_carrier"
    )


def test_a_codec_in_a_file_is_refused_with_line_and_place_in_the_list(elsewhere: Path):
    path = elsewhere / "mine.toml"
    path.write_text('[trunks.acme]\nnetworks = []\ncodecs = ["pcmu", "opus"]\n')

    assert error(path) == f'{path}:3: trunks.acme.codecs[1] = "opus": expected one of pcmu, pcma'


@pytest.mark.parametrize("name", ["Acme", "my-carrier", "a__b", "_a", "1st", ""])
def test_a_trunk_has_a_name_that_variables_can_have(elsewhere: Path, name: str):
    path = elsewhere / "mine.toml"
    path.write_text(f'[trunks."{name}"]\nnetworks = ["192.0.2.0/24"]\n')

    assert "expected a trunk's name of small letters, digits and single _, as my_carrier" in error(path)


@pytest.mark.parametrize("key", ["ADDRESS", "REGISTRAR"])
@pytest.mark.parametrize(
    "uri", ["sip:anna:canary@carrier.example", "sip:anna:canary@carrier example", "canary@"]
)
def test_a_password_that_somebody_put_into_an_address_is_not_shown(key: str, uri: str):
    message = error(**of_acme(**{key: uri}))

    assert message.startswith(f"GATEWAY_TRUNKS__ACME__{key}: expected ")
    assert "canary" not in message


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        (TRUNK, 'sip.listen is missing: trunks.acme needs a way in; set it, as ["udp:0.0.0.0:5060"]'),
        (
            LISTENS,
            'sip.listen = ["udp:127.0.0.1:5060"]: there is no trunk, so nobody may call; add a table [trunks.NAME]',
        ),
        (
            of_acme() | {"GATEWAY_SIP__LISTEN": "udp:127.0.0.1:5060, udp:0.0.0.0:5060"},
            'sip.listen: "udp:127.0.0.1:5060" and "udp:0.0.0.0:5060" are the same port; expected each once',
        ),
        (
            of_acme() | {"GATEWAY_SIP__LISTEN": "udp:127.0.0.1:10001"},
            'sip.listen: "udp:127.0.0.1:10001" is one of sip.rtp_ports = "10000-20000"; expected a port outside of them',
        ),
        (
            of_acme() | {"GATEWAY_SIP__EXTERNAL_HOST": "2001:db8::7"},
            'sip.external_host = "2001:db8::7": nobody comes in by IPv6; add it to sip.listen, as "udp:[::]:5060"',
        ),
        (
            of_acme()
            | {"GATEWAY_SIP__LISTEN": "udp:[::1]:5060", "GATEWAY_SIP__EXTERNAL_HOST": "203.0.113.7"},
            'sip.external_host = "203.0.113.7": nobody comes in by IPv4; add it to sip.listen, as "udp:0.0.0.0:5060"',
        ),
        (
            of_acme() | {"GATEWAY_SIP__LISTEN": "tls:127.0.0.1:5061"},
            "sip.certificate is missing: tls in sip.listen needs sip.certificate and sip.key",
        ),
        (
            of_acme() | {"GATEWAY_SIP__CERTIFICATE": "/x.pem"},
            "sip.key is missing: TLS needs sip.certificate and sip.key",
        ),
        (
            of_acme() | {"GATEWAY_SIP__KEY": "/x.pem"},
            "sip.certificate is missing: TLS needs sip.certificate and sip.key",
        ),
        (
            of_acme(NETWORKS=""),
            "trunks.acme.networks is missing, and so is address: nobody may call by this trunk, or be called",
        ),
        (
            of_acme(NETWORKS="192.0.2.0/24,0.0.0.0/0"),
            (
                'trunks.acme.networks = "0.0.0.0/0": everybody could call, without a password; '
                'name the networks of the carrier, or set auth = "digest"'
            ),
        ),
        (
            of_acme(AUTH="digest"),
            (
                'trunks.acme.user is missing: auth = "digest" needs it, '
                "and the password in the variable TRUNK_ACME_PASSWORD"
            ),
        ),
        (
            of_acme(AUTH="digest", USER="anna"),
            (
                'trunks.acme.auth = "digest": TRUNK_ACME_PASSWORD is not set; set it, '
                "or TRUNK_ACME_PASSWORD_FILE to a file that has the password"
            ),
        ),
        (
            of_acme(AUTH="digest", USER="anna", NETWORKS="", ADDRESS="sip:h", TRUNK_ACME_PASSWORD="word"),
            (
                'trunks.acme.networks is missing: with auth = "digest" it says who may try a password; '
                "0.0.0.0/0 for everybody"
            ),
        ),
        (
            of_acme(REGISTER="true", ADDRESS="sip:h", USER="anna"),
            (
                "trunks.acme.register = true: TRUNK_ACME_PASSWORD is not set; set it, "
                "or TRUNK_ACME_PASSWORD_FILE to a file that has the password"
            ),
        ),
        (
            of_acme(REGISTER="true", USER="anna", TRUNK_ACME_PASSWORD="word"),
            "trunks.acme.register = true: expected address, or registrar where it is another",
        ),
        (
            of_acme(REGISTRAR="sip:h"),
            'trunks.acme.registrar = "sip:h": expected register = true beside it',
        ),
        (
            of_acme(USER="anna"),
            (
                'trunks.acme.user = "anna": TRUNK_ACME_PASSWORD is not set; set it, '
                "or TRUNK_ACME_PASSWORD_FILE to a file that has the password"
            ),
        ),
        (
            of_acme(TRUNK_ACME_PASSWORD="word"),
            "trunks.acme.user is missing, though TRUNK_ACME_PASSWORD is set: a password belongs to a user",
        ),
        (
            of_acme(REALM="h"),
            'trunks.acme.realm = "h": expected a user, whose password is for that realm',
        ),
        (
            of_acme(ADDRESS="sip:h;transport=udp") | {"GATEWAY_SIP__LISTEN": "tcp:127.0.0.1:5060"},
            'trunks.acme.address = "sip:h;transport=udp": sip.listen has no udp; add it, as "udp:0.0.0.0:5060"',
        ),
        (of_acme(CODECS="pcma,pcma"), 'trunks.acme.codecs = ["pcma", "pcma"]: expected each once'),
        (of_acme(PING_S="1"), "trunks.acme.ping_s = 1: expected at least 5, or 0 for none"),
    ],
)
def test_what_cannot_work_together_is_refused_with_what_would(environ: dict[str, str], said: str):
    assert error(**environ) == said


def test_callers_of_two_trunks_have_two_names():
    environ = of_acme(AUTH="digest", USER="anna") | {
        "GATEWAY_TRUNKS__OTHER__NETWORKS": "192.0.2.0/24",
        "GATEWAY_TRUNKS__OTHER__AUTH": "digest",
        "GATEWAY_TRUNKS__OTHER__USER": "anna",
        "TRUNK_ACME_PASSWORD": "a",
        "TRUNK_OTHER_PASSWORD": "b",
    }

    assert error(**environ) == 'trunks.other.user = "anna": trunks.acme has callers of that name already'


def test_all_that_cannot_work_together_is_told_at_once():
    said = error(**of_acme(AUTH="digest", REGISTER="true", CODECS="pcmu,pcmu"))

    assert [line.split()[0] for line in said.splitlines()] == [
        "trunks.acme.user",
        "trunks.acme.register",
        "trunks.acme.codecs",
    ]


@pytest.mark.parametrize(
    "listen",
    [
        "udp:127.0.0.1:5060, tcp:127.0.0.1:5060",
        "udp:127.0.0.1:5060, udp:127.0.0.2:5060",
        "udp:0.0.0.0:5060, udp:[::]:5060",
        "udp:127.0.0.1:0, udp:127.0.0.1:0",
        "tcp:127.0.0.1:10000",
    ],
)
def test_ways_in_that_can_be_open_at_once_are_taken(listen: str):
    settings, _ = read_settings(None, of_acme() | {"GATEWAY_SIP__LISTEN": listen})

    assert len(settings.sip.listen) == listen.count(",") + 1


@pytest.mark.parametrize("outside", ["203.0.113.7", "2001:db8::7"])
def test_of_two_versions_of_ip_one_may_have_an_address_outside(outside: str):
    environ = of_acme() | {
        "GATEWAY_SIP__LISTEN": "udp:0.0.0.0:5060,udp:[::]:5060",
        "GATEWAY_SIP__EXTERNAL_HOST": outside,
    }

    settings, _ = read_settings(None, environ)

    assert settings.sip.external_host == outside


def test_everybody_may_try_a_password():
    environ = of_acme(AUTH="digest", USER="anna", NETWORKS="0.0.0.0/0,::/0", **PASSWORD)

    settings, _ = read_settings(None, environ)

    assert len(settings.trunks["acme"].networks) == 2


def test_a_registered_trunk_needs_no_network():
    environ = of_acme(REGISTER="true", ADDRESS="sip:h", USER="anna", NETWORKS="", **PASSWORD)

    settings, _ = read_settings(None, environ)

    assert settings.trunks["acme"].networks == ()


# -- what works, and should be known


def warnings(**environ: str) -> list[str]:
    settings, _ = read_settings(None, environ)
    return warnings_of(settings.sip, settings.trunks, most_calls=settings.calls.max_active)


TLS = {
    "GATEWAY_SIP__LISTEN": "tls:127.0.0.1:5061",
    "GATEWAY_SIP__CERTIFICATE": "/x.pem",
    "GATEWAY_SIP__KEY": "/y.pem",
}


@pytest.mark.parametrize(
    ("environ", "why"),
    [
        (of_acme(SRTP="required"), "sip.listen has no tls"),
        (of_acme(SRTP="required", ADDRESS="sip:h"), "trunks.acme.address has no transport=tls"),
        (
            of_acme(SRTP="required", ADDRESS="sip:h;transport=tcp") | TLS,
            "trunks.acme.address has no transport=tls",
        ),
    ],
)
def test_keys_of_srtp_that_travel_in_the_clear_are_a_warning(environ: dict[str, str], why: str):
    assert warnings(**environ) == [
        f'trunks.acme.srtp = "required": the keys travel in the clear, since {why}'
    ]


@pytest.mark.parametrize(
    "environ",
    [
        of_acme(),
        of_acme(SRTP="optional") | TLS,
        of_acme(SRTP="required", ADDRESS="sip:h;transport=tls") | TLS,
        of_acme(SRTP="required", ADDRESS="sips:h") | TLS,
        of_acme(SRTP="required", ADDRESS="sips:h", NETWORKS=""),
    ],
)
def test_keys_that_travel_by_tls_are_none(environ: dict[str, str]):
    assert warnings(**environ) == []


def test_fewer_ports_than_calls_are_a_warning():
    said = warnings(**(of_acme() | {"GATEWAY_SIP__RTP_PORTS": "10000-10009"}))

    assert said == [
        'sip.rtp_ports = "10000-10009": 5 calls at a time have ports, though calls.max_active = 100'
    ]


# -- the page


PAGE = Path(__file__).parents[1] / "ops" / "docs" / "sip.md"
EXAMPLES = re.findall(r"(?ms)^```toml\n(.*?)^```$", PAGE.read_text())


@pytest.mark.parametrize("text", EXAMPLES)
def test_an_example_of_the_page_is_right_with_the_passwords_that_it_needs(elsewhere: Path, text: str):
    (elsewhere / "gateway.toml").write_text(text)
    passwords = {"TRUNK_PBX_PASSWORD": "word", "TRUNK_PHONES_PASSWORD": "word"}

    settings, _ = read_settings(None, passwords)

    assert len(settings.trunks) == 1
    assert warnings_of(settings.sip, settings.trunks, most_calls=settings.calls.max_active) == []


def test_the_page_has_an_example_of_each_kind_of_trunk():
    trunks = {name: table for text in EXAMPLES for name, table in tomllib.loads(text)["trunks"].items()}

    assert [name for name, table in trunks.items() if "networks" in table and "auth" not in table] == ["acme"]
    assert [name for name, table in trunks.items() if table.get("register")] == ["pbx"]
    assert [name for name, table in trunks.items() if table.get("auth") == "digest"] == ["phones"]
