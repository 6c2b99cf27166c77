from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from tests.capture.made_captures import CALLER_RTP, MadeCall, MadeCapture, sdp

BARESIP = Path(__file__).parent / "data" / "baresip-g711-dtmf.pcap"


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings but the defaults."""
    monkeypatch.chdir(tmp_path)


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)])


def test_each_imported_call_is_a_line_with_its_packet_length_end_and_folder():
    done = run("import", BARESIP)

    assert done.exit_code == 0
    (folder,) = Path("calls").glob("2*")
    assert done.stdout == f"packet 1           6.0 s  caller_hung_up   {folder}\n"
    assert done.stderr == ""


def test_the_folder_that_is_named_takes_the_calls():
    run("import", BARESIP, "--into", "there")

    assert len([*Path("there").glob("2*/trace.jsonl")]) == 1
    assert not Path("calls").exists()


def test_as_the_caller_it_ends_as_the_caller_ends_it():
    done = run("import", BARESIP, "--as", "caller")

    assert "agent_hung_up" in done.stdout


def test_a_call_that_cannot_be_imported_is_one_line_with_the_packet_and_ends_with_1(tmp_path: Path):
    capture = MadeCapture()
    call = MadeCall(capture)
    invite = call.ask(0.0, "INVITE", sdp(CALLER_RTP), tagged=False)
    call.answer(0.1, invite, 486)
    path = capture.write(tmp_path / "busy.pcap")

    done = run("import", path)

    assert done.exit_code == 1
    assert done.stdout == ""
    assert done.stderr == f"{path}: packet 2: the call was refused: 486 Whatever\n"
    assert not Path("calls").exists()


def test_a_capture_without_a_call_is_one_line_and_ends_with_1(tmp_path: Path):
    path = MadeCapture().write(tmp_path / "empty.pcap")

    done = run("import", path)

    assert done.exit_code == 1
    assert done.stderr == f"{path}: no call: none of its 0 packets is the INVITE of a call\n"


def test_a_file_that_is_no_capture_is_one_line_and_ends_with_2(tmp_path: Path):
    path = tmp_path / "notes.txt"
    path.write_text("not a capture")

    done = run("import", path)

    assert done.exit_code == 2
    assert done.stderr == f"gateway: {path}: neither pcap nor pcapng\n"


def test_a_folder_that_is_a_file_is_said(tmp_path: Path):
    (tmp_path / "taken").write_text("")

    done = run("import", BARESIP, "--into", tmp_path / "taken")

    assert done.exit_code == 2
    assert done.stderr == f"gateway: {tmp_path / 'taken'}: File exists; it must be a folder of ours\n"


def test_a_folder_without_a_trace_cannot_be_rerun(tmp_path: Path):
    done = run("rerun", tmp_path)

    assert done.exit_code == 2
    assert done.stderr == f"gateway: {tmp_path / 'trace.jsonl'}: No such file or directory\n"
