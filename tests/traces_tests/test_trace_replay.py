import re
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest

from gateway.contracts import CarrierMessage, Cut, Fact, Output, VoiceMessage
from gateway.traces import Header, Outcome, Verdict, replay, report_lines
from gateway.traces.format import OUTPUTS, OUTPUTS_AUDIO
from gateway.traces.verdict import Difference
from tests.traces_tests.toy_call import HEADER, Input, ToyCore, frame, inputs, recorded

SEQ = 104  # a carrier frame after more than half a second: two outputs, the second one with audio
T_US = 26 * 20_000 + 3_000


class ChangedCore(ToyCore):
    """A toy core that answers something else at entry `SEQ`."""

    def __init__(self, header: Header, change: Callable[[list[Output]], Sequence[Output]]) -> None:
        super().__init__(header)
        self._change = change

    def drain(self) -> list[Output]:
        outputs = super().drain()
        return list(self._change(outputs)) if len(self.fed) - 1 == SEQ else outputs


def differ(folder: Path, change: Callable[[list[Output]], Sequence[Output]]) -> Difference:
    verdict = replay(folder, lambda header: ChangedCore(header, change))
    assert verdict.outcome is Outcome.DIFFERS
    assert not verdict.identical
    assert verdict.difference is not None
    assert (verdict.difference.seq, verdict.difference.t_us) == (SEQ, T_US)
    assert (verdict.entries, verdict.difference.port) == (SEQ, "carrier")
    return verdict.difference


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return recorded(tmp_path / "call")


def test_a_recorded_call_replays_identical(folder: Path) -> None:
    verdict = replay(folder, ToyCore)

    assert verdict == Verdict(folder=folder, outcome=Outcome.IDENTICAL, entries=200, outputs=200)
    assert report_lines(verdict) == [f"{folder}: identical (200 entries, 200 outputs)"]


def test_the_core_is_fed_what_was_recorded_in_that_order_with_that_time(folder: Path) -> None:
    cores: list[ToyCore] = []

    def build_core(header: Header) -> ToyCore:
        cores.append(ToyCore(header))
        return cores[0]

    replay(folder, build_core)

    assert cores[0].fed == [(port, data, t_us / 1e6) for t_us, port, data in inputs()]


def test_the_core_is_built_from_the_recorded_header(folder: Path) -> None:
    headers: list[Header] = []

    def build_core(header: Header) -> ToyCore:
        headers.append(header)
        return ToyCore(header)

    replay(folder, build_core)

    assert headers == [HEADER]


def test_text_that_differs_is_found(folder: Path) -> None:
    found = differ(folder, lambda outputs: [Fact("input.taken", {"at": 1.0}), *outputs[1:]])

    assert found.expected.startswith('fact {"name":"input.taken","fields":{"at":0.523,"ports":')
    assert found.got == 'fact {"name":"input.taken","fields":{"at":1.0}}'


def test_audio_that_differs_is_found_with_its_first_byte(folder: Path) -> None:
    def flip(outputs: list[Output]) -> list[Output]:
        voice = outputs[1]
        assert isinstance(voice, VoiceMessage)
        head, audio = voice.data[:26], voice.data[26:]
        return [outputs[0], VoiceMessage(f"{head}{audio[:40]}AAAA{audio[44:]}", voice.caller_ms)]

    found = differ(folder, flip)

    assert found.expected.startswith('voice {"type":"append","audio":"<160 bytes, sha256 ')
    assert found.got.startswith('voice {"type":"append","audio":"<160 bytes, sha256 ')
    assert found.expected != found.got
    assert len(found.detail) == 1
    assert re.fullmatch("audio differs first at byte 30: expected 0x[0-9a-f]{2}, got 0x00", found.detail[0])


def test_audio_of_another_length_is_found(folder: Path) -> None:
    found = differ(
        folder, lambda outputs: [outputs[0], VoiceMessage(f'{{"type":"append","audio":"{"A" * 80}"}}', 20)]
    )

    assert "<160 bytes" in found.expected
    assert "<60 bytes" in found.got


def test_an_output_that_is_missing_is_found(folder: Path) -> None:
    found = differ(folder, lambda outputs: outputs[:1])

    assert found.expected.startswith('voice {"type":"append"')
    assert found.got == "no further output"


def test_an_output_too_many_is_found(folder: Path) -> None:
    found = differ(folder, lambda outputs: [*outputs, Cut()])

    assert (found.expected, found.got) == ("no further output", "cut")


def test_outputs_in_another_order_are_found(folder: Path) -> None:
    found = differ(folder, lambda outputs: outputs[::-1])

    assert found.expected.startswith("fact ")
    assert found.got.startswith("voice ")


def test_bytes_in_place_of_text_are_found(folder: Path) -> None:
    found = differ(folder, lambda outputs: [outputs[0], CarrierMessage(b"abc")])

    assert found.got.startswith("carrier <3 bytes, sha256 ba7816bf>")


def test_an_output_that_comes_one_entry_late_is_found_where_it_was_due(folder: Path) -> None:
    class LateCore(ToyCore):
        late: list[Output] = []  # noqa: RUF012  # this one class serves one replay

        def drain(self) -> list[Output]:
            outputs = super().drain()
            if len(self.fed) - 1 == SEQ:
                type(self).late, outputs = outputs[1:], outputs[:1]
            elif len(self.fed) - 2 == SEQ:
                outputs = [*self.late, *outputs]
            return outputs

    verdict = replay(folder, LateCore)

    assert verdict.difference is not None
    assert (verdict.difference.seq, verdict.difference.got) == (SEQ, "no further output")


def test_a_difference_shows_the_entry_and_the_ten_before_it(folder: Path) -> None:
    found = differ(folder, lambda outputs: outputs[:1])

    assert [line.split()[0] for line in found.before] == [str(seq) for seq in range(SEQ - 10, SEQ)]
    assert found.before[-1] == "    103  0.520000 s  tick"
    assert found.before[-2].startswith("    102  0.505000 s  carrier  <172 bytes, sha256 ")
    assert found.before[-3] == '    101  0.502000 s  voice    {"type":"grüße","n":25}'
    assert found.entry.startswith(
        '    104  0.523000 s  carrier  {"event":"media","chunk":"26","payload":"<160 bytes'
    )


def test_a_difference_at_the_first_entry_has_none_before_it(folder: Path) -> None:
    verdict = replay(folder, lambda header: ToyCore(msgspec.structs.replace(header, seed=8)))

    assert verdict.difference is not None
    assert (verdict.difference.seq, verdict.difference.before) == (0, ())


def test_a_core_that_raises_differs_and_shows_its_traceback(folder: Path) -> None:
    def give_up(_: list[Output]) -> list[Output]:
        raise ZeroDivisionError("no frame left")

    found = differ(folder, give_up)

    assert found.expected.startswith("fact ")
    assert found.got == "the core raised"
    assert found.detail[-1] == "ZeroDivisionError: no frame left"
    assert any("in give_up" in line for line in found.detail)


def test_an_output_that_json_cannot_hold_differs(folder: Path) -> None:
    found = differ(folder, lambda _: [Fact("odd.seen", {"it": object()})])

    assert found.detail[-1].startswith("TypeError")


def test_a_difference_deep_in_a_long_text_is_cut_to_its_surroundings(tmp_path: Path) -> None:
    long_input: list[Input] = [(0, "voice", '{"n":1}')]
    folder = recorded(tmp_path / "call", long_input)
    words = " ".join(str(n) for n in range(2000))
    (folder / OUTPUTS).write_text(f'[0,{{"type":"voice","data":"{words}","caller_ms":0}}]\n')

    verdict = replay(folder, lambda header: LongWordedCore(header, words.replace("1500", "1x00")))

    assert verdict.difference is not None
    assert "1500" in verdict.difference.expected
    assert "1x00" in verdict.difference.got
    assert len(verdict.difference.got) < 300


class LongWordedCore(ToyCore):
    def __init__(self, header: Header, words: str) -> None:
        super().__init__(header)
        self._words = words

    def drain(self) -> list[Output]:
        return [VoiceMessage(self._words)]


def test_what_a_peer_sent_is_shown_without_its_control_characters(tmp_path: Path) -> None:
    folder = recorded(tmp_path / "call", [(0, "tick", "BYE\x1b[2J\r\n")])

    verdict = replay(folder, lambda header: LongWordedCore(header, "OK\x07"))

    assert verdict.difference is not None
    assert verdict.difference.entry.endswith("tick     BYE\\x1b[2J\\r\\n")
    assert verdict.difference.got == "voice OK\\x07 session=1"


def test_a_long_clip_is_shown_by_its_beginning(tmp_path: Path) -> None:
    folder = recorded(
        tmp_path / "call", [(0, "command", frame(1, size_bytes=500_000)), (1, "voice", '{"n":1}')]
    )
    (folder / OUTPUTS).write_bytes((folder / OUTPUTS).read_bytes().replace(b"[1,", b"[2,"))

    verdict = replay(folder, ToyCore)

    assert verdict.difference is not None
    assert verdict.difference.before[0].startswith(
        '      0  0.000000 s  command  {"event":"media","chunk":"1",'
    )
    assert "… <666710 bytes, sha256 " in verdict.difference.before[0]
    assert len(verdict.difference.before[0]) < 200


def test_a_recorded_output_is_never_fed_and_only_its_first_change_is_reported(folder: Path) -> None:
    lines = (folder / OUTPUTS).read_bytes().replace(b"input.taken", b"input.token")
    (folder / OUTPUTS).write_bytes(lines)

    verdict = replay(folder, ToyCore)

    assert verdict.difference is not None
    assert verdict.difference.seq == 0
    assert "input.token" in verdict.difference.expected
    assert "input.taken" in verdict.difference.got


def test_one_byte_changed_in_the_recorded_audio_is_found(folder: Path) -> None:
    audio = bytearray((folder / OUTPUTS_AUDIO).read_bytes())
    audio[-100] ^= 1
    (folder / OUTPUTS_AUDIO).write_bytes(audio)

    verdict = replay(folder, ToyCore)

    assert verdict.difference is not None
    assert verdict.difference.seq == 198
    assert verdict.difference.detail[0].startswith("audio differs first at byte 72: ")


def test_an_unfinished_trace_is_compared_as_far_as_it_goes(tmp_path: Path) -> None:
    folder = recorded(tmp_path / "call", finish=False)

    verdict = replay(folder, ToyCore)

    assert (verdict.outcome, verdict.entries, verdict.finished) == (Outcome.UNFINISHED, 200, False)
    assert not verdict.identical
    assert report_lines(verdict) == [
        f"{folder}: unfinished trace, identical as far as it goes (200 entries, 200 outputs)"
    ]


def test_outputs_behind_the_last_entry_of_an_unfinished_trace_are_passed_over(tmp_path: Path) -> None:
    folder = recorded(tmp_path / "call", finish=False)
    with (folder / OUTPUTS).open("ab") as file:
        file.write(b'[200,{"type":"cut"}]\n[201,{"ty')

    assert replay(folder, ToyCore).outcome is Outcome.UNFINISHED


def test_a_difference_in_an_unfinished_trace_says_both(tmp_path: Path) -> None:
    folder = recorded(tmp_path / "call", finish=False)

    verdict = replay(folder, lambda header: ChangedCore(header, lambda outputs: outputs[:1]))

    assert verdict.outcome is Outcome.DIFFERS
    assert report_lines(verdict)[0] == f"{folder}: differs after 104 entries, 105 outputs; unfinished trace"


def test_outputs_of_no_entry_are_unreadable_in_a_finished_trace(folder: Path) -> None:
    with (folder / OUTPUTS).open("ab") as file:
        file.write(b'[999,{"type":"cut"}]\n')

    verdict = replay(folder, ToyCore)

    assert verdict.outcome is Outcome.UNREADABLE
    assert verdict.problem == "outputs.jsonl line 201: an output of an entry that is not there"


def test_a_folder_without_a_trace_is_unreadable(tmp_path: Path) -> None:
    verdict = replay(tmp_path, ToyCore)

    assert verdict.outcome is Outcome.UNREADABLE
    assert report_lines(verdict) == [
        f"{tmp_path}: unreadable: {tmp_path}/trace.jsonl: No such file or directory"
    ]


def test_a_header_that_gives_no_core_is_unreadable(folder: Path) -> None:
    def build_core(header: Header) -> ToyCore:
        raise KeyError(header.backend)

    verdict = replay(folder, build_core)

    assert verdict.outcome is Outcome.UNREADABLE
    assert verdict.problem == "no core for this header: KeyError: 'echo'"


def test_a_difference_is_told_in_lines(folder: Path) -> None:
    lines = report_lines(
        replay(folder, lambda header: ChangedCore(header, lambda outputs: [*outputs, Cut()]))
    )

    assert lines[:5] == [
        f"{folder}: differs after 104 entries, 106 outputs",
        "  at entry 104, 0.523000 s, carrier",
        "  expected  no further output",
        "  got       cut",
        "  fed:",
    ]
    assert len(lines) == 16
    assert lines[-1].startswith("  >     104  0.523000 s  carrier")
