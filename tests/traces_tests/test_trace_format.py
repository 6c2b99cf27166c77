import json
from base64 import b64encode

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.contracts import (
    CarrierMessage,
    Cut,
    Ended,
    EndReason,
    Fact,
    OpenVoice,
    Output,
    RunTool,
    VoiceMessage,
)
from gateway.traces.format import (
    LONGEST_LIFTED_CHARS,
    Entry,
    OutputLine,
    entry_line,
    lift,
    output_line,
    restore,
)

AUDIO = bytes(range(160))
RUN = b64encode(AUDIO).decode()

texts = st.text(st.characters(codec=None))
base64_like = st.text('ABCabc019+/=-_\n\\"', max_size=200)
runs = st.binary(min_size=40, max_size=400).map(lambda audio: b64encode(audio).decode())
near_events = st.tuples(
    texts, st.sampled_from(['"', "", '":"']), runs | base64_like, st.sampled_from(['"', ""]), texts
)


def back(data: str | bytes) -> str | bytes:
    text, position, audio = lift(data)
    return text if position is None else restore(text, position, audio)


@given(texts)
@example("")
@example('"' * 300)
@example("\ud800")
@example(f'"\ud800{RUN}"')
def test_any_text_survives(text: str) -> None:
    assert back(text) == text


@given(near_events.map("".join))
@example(f'{{"delta":"{RUN}","again":"{RUN}"}}')
@example(f'{{"delta":"{RUN}{RUN}="}}')
@example(f'{{"delta":"{RUN[:-2]}B="}}')
def test_any_text_with_something_like_audio_in_it_survives(text: str) -> None:
    assert back(text) == text


@given(st.binary(max_size=2000))
def test_any_bytes_survive(data: bytes) -> None:
    assert back(data) == data


@given(near_events.map("".join) | st.binary(max_size=300), st.sampled_from(["carrier", "voice", "command"]))
@example("\ud800", "voice")
@example(f'{{"delta":"{RUN}","text":"\ud800"}}', "voice")
def test_any_data_survives_its_line(data: str | bytes, port: str) -> None:
    line, audio = entry_line(7, 140_000, port, data, 1000)  # type: ignore[arg-type]

    entry = msgspec.json.decode(line, type=Entry)

    assert (entry.seq, entry.t_us, entry.port) == (7, 140_000, port)
    assert line.count(b"\n") == 1
    if entry.lifted is None:
        assert (entry.text, audio) == (data, b"")
    else:
        assert (entry.lifted.offset, entry.lifted.length) == (1000, len(audio))
        assert restore(entry.text, entry.lifted.position, audio) == data


@pytest.mark.parametrize(
    "event",
    [
        f'{{"event":"media","media":{{"payload":"{RUN}"}}}}',
        f'{{"type": "response.output_audio.delta", "delta": "{RUN}"}}',
        f'{{"type":"input_audio_buffer.append","audio":"{RUN}","event_id":"é"}}',
        f'{{"type":"clip.ready","id":1,"pcm":"{RUN}"}}',
    ],
)
def test_audio_is_lifted_out_of_its_event(event: str) -> None:
    text, position, audio = lift(event)

    assert audio == AUDIO
    assert position == event.index(RUN)
    assert text == event.replace(RUN, "")


def test_a_run_that_is_base64_but_not_canonical_stays_in_the_text() -> None:
    event = f'{{"delta":"{RUN[:-3]}x=="}}'

    assert lift(event) == (event, None, b"")


def test_a_short_run_stays_in_the_text() -> None:
    event = f'{{"streamSid":"{RUN[:60]}"}}'

    assert lift(event) == (event, None, b"")


def test_a_long_clip_goes_whole_to_the_audio_file() -> None:
    clip = f'{{"type":"clip.ready","id":1,"pcm":"{b64encode(bytes(5_000_000)).decode()}"}}'

    line, audio = entry_line(3, 60_000, "command", clip, 0)

    assert len(clip) > LONGEST_LIFTED_CHARS
    assert len(line) < 60
    assert back(clip) == clip
    assert audio == clip.encode()


def test_the_line_of_a_tick_is_tiny() -> None:
    line, audio = entry_line(540_000, 3_600_000_000, "tick", "", 0)

    assert line == b'[540000,3600000000,"tick"]\n'
    assert audio == b""


def test_a_position_outside_of_its_text_is_an_error() -> None:
    with pytest.raises(ValueError, match="position 4"):
        restore("abc", 4, AUDIO)


@pytest.mark.parametrize(
    ("output", "line"),
    [
        (Cut(), b'[5,{"type":"cut"}]\n'),
        (Ended(EndReason.CALLER_HUNG_UP), b'[5,{"type":"ended","reason":"caller_hung_up"}]\n'),
        (
            OpenVoice(session=1, agent="a", backend="echo"),
            b'[5,{"type":"open_voice","session":1,"agent":"a","backend":"echo"}]\n',
        ),
        (
            RunTool(id="c1", name="book", arguments='{"n":2}'),
            b'[5,{"type":"run_tool","id":"c1","name":"book","arguments":"{\\"n\\":2}"}]\n',
        ),
        (VoiceMessage("{}", 20), b'[5,{"type":"voice","data":"{}","caller_ms":20,"session":1}]\n'),
        (
            VoiceMessage(f'{{"audio":"{RUN}"}}', 20),
            b'[5,{"type":"voice","data":"{\\"audio\\":\\"\\"}","caller_ms":20,"session":1},[10,90,160]]\n',
        ),
        (CarrierMessage(AUDIO), b'[5,{"type":"carrier","data":""},["bytes",90,160]]\n'),
    ],
)
def test_an_output_is_one_line(output: Output, line: bytes) -> None:
    assert output_line(5, output, 90)[0] == line


def test_a_set_among_the_fields_of_a_fact_is_written_in_one_order() -> None:
    fact = Fact("plan.checked", {"b": {"z", "y", "x", "w"}, "a": 1})

    line, _ = output_line(1, fact, 0)

    assert line == b'[1,{"type":"fact","name":"plan.checked","fields":{"a":1,"b":["w","x","y","z"]}}]\n'


@given(near_events.map("".join) | st.binary(max_size=300))
def test_the_data_of_a_carrier_message_survives_its_line(data: str | bytes) -> None:
    line, audio = output_line(1, CarrierMessage(data), 0)

    output = msgspec.json.decode(line, type=OutputLine)

    lifted = output.lifted
    assert (
        restore(output.output["data"], lifted.position, audio) if lifted else output.output["data"]
    ) == data
    assert json.loads(line)[1]["type"] == "carrier"
