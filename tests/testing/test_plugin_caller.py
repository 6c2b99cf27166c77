"""A caller who says recordings and understands the answers, on the virtual clock."""

import functools
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from gateway.audio.clip import convert, write_wav
from gateway.building import build_core
from gateway.contracts import EndReason
from gateway.testing.live_caller import live_call
from gateway.testing.twilio_call import EndedBy
from gateway.traces import replay
from gateway.voice.backends.echo import EchoBackend
from gateway.voice.backends.scripted import tone
from gateway.voice.embedded.models import Models, load
from gateway.voices import missing_voice

DIALPLANS = Path(__file__).parents[2] / "dialplans"
RECEPTION = DIALPLANS / "reception.toml"

spoken = pytest.mark.skipif(missing_voice() is not None, reason="the embedded voice is not installed")


@pytest.fixture
def words(tmp_path: Path) -> Path:
    """Something loud, which the scripted voice takes for whatever it is told."""
    write_wav(tmp_path / "words.wav", tone("a table for four"), 24000)
    return tmp_path / "words.wav"


@functools.cache
def voice() -> Models:
    return load()


# -- in tones


async def test_the_caller_says_a_recording_and_hears_the_answer(autojump_clock: MockClock, words: Path):
    async with live_call(RECEPTION, backend="scripted", hears=["a table for four"]) as caller:
        await caller.hears("how can I help you")
        await caller.says(words)
        await caller.hears("for which day")


async def test_a_recording_may_have_any_rate_and_several_channels(autojump_clock: MockClock, tmp_path: Path):
    mono = convert(tone("a table for four"), 24000, 44100)
    stereo = b"".join(mono[at : at + 2] * 2 for at in range(0, len(mono), 2))
    write_wav(tmp_path / "words.wav", stereo, 44100, channels=2)

    async with live_call(
        RECEPTION, backend="scripted", hears=["a table for four"], near=[tmp_path]
    ) as caller:
        await caller.hears("how can I help you")
        await caller.says("words.wav")
        await caller.hears("for which day")


async def test_a_phrase_is_heard_when_the_agent_pauses_after_it(autojump_clock: MockClock):
    async with live_call(RECEPTION, backend="scripted") as caller:
        await caller.hears("how can I help you")

        assert 3.5 <= caller.twilio.now <= 5  # 63 characters of 60 ms, and a pause


async def test_phrases_of_one_utterance_are_heard_one_after_the_other(autojump_clock: MockClock):
    async with live_call(RECEPTION, backend="scripted") as caller:
        await caller.hears("thank you for calling")
        began_s = caller.twilio.now
        await caller.hears("how can I help you")

        assert caller.twilio.now == began_s


async def test_a_phrase_is_not_heard_twice(autojump_clock: MockClock):
    async with live_call(RECEPTION, backend="scripted") as caller:
        await caller.hears("how can I help you")

        with pytest.raises(AssertionError, match="heard   nothing"):
            await caller.hears("how can I help you", within_s=2)


async def test_what_was_said_before_a_key_does_not_count_after_it(autojump_clock: MockClock):
    async with live_call(RECEPTION, backend="scripted") as caller:
        await caller.hears("thank you")
        await caller.presses("1")

        with pytest.raises(AssertionError, match="Tuesday"):
            await caller.hears("how can I help you")


async def test_what_an_interruption_kept_from_the_caller_was_not_heard(autojump_clock: MockClock):
    async with live_call(RECEPTION, backend="scripted") as caller:
        await caller.hears("how can I help you")
        await caller.presses("1")
        await caller.twilio.speaking()
        await caller.twilio.silence(2)
        await caller.twilio.presses("2")

        await caller.hears("we are open")
        with pytest.raises(AssertionError):
            await caller.hears("on Mondays we are closed", within_s=3)


async def test_what_is_not_said_in_time_fails_with_what_was_heard(autojump_clock: MockClock):
    async with live_call(RECEPTION, backend="scripted") as caller:
        with pytest.raises(AssertionError) as failure:
            await caller.hears("welcome to the bank", within_s=5)

    assert str(failure.value).splitlines() == [
        "the caller did not hear 'welcome to the bank' within 5 s",
        "  heard   'Thank you for calling the Harbour Kitchen. How can I help you?'",
    ]


async def test_in_tones_what_is_still_being_said_does_not_count(autojump_clock: MockClock):
    async with live_call(RECEPTION, backend="scripted") as caller:
        with pytest.raises(AssertionError, match="heard   nothing"):
            await caller.hears("thank you for calling", within_s=2)

        await caller.hears("thank you for calling")


async def test_a_call_that_is_over_is_told_at_once(autojump_clock: MockClock):
    async with live_call(DIALPLANS / "reject.toml", backend="scripted", from_="+15550002666") as caller:
        with pytest.raises(AssertionError, match="the call is over"):
            await caller.hears("hello", within_s=1000)

        assert caller.twilio.now == 0


async def test_a_step_that_says_a_text_is_heard(autojump_clock: MockClock):
    async with live_call(DIALPLANS / "announcement.toml", backend="scripted", to="+15550001002") as caller:
        await caller.hears("we are closed today, and open again tomorrow at 9")
        await caller.ended()


async def test_the_end_of_the_call_is_waited_for(autojump_clock: MockClock):
    async with live_call(RECEPTION, backend="scripted") as caller:
        await caller.hears("how can I help you")
        await caller.presses("0")
        await caller.hears("connect you with the front desk")

        assert (await caller.ended()).by is EndedBy.LAST_VERB
        assert caller.twilio.dialled == ["+15550001999"]


async def test_a_call_that_goes_on_fails_with_what_was_heard(autojump_clock: MockClock):
    async with live_call(RECEPTION, backend="scripted") as caller:
        with pytest.raises(AssertionError, match=r"did not end within 6 s\n.*How can I help you"):
            await caller.ended(within_s=6)


async def test_the_call_is_written_where_it_is_wanted(autojump_clock: MockClock, tmp_path: Path):
    async with live_call(RECEPTION, backend="scripted", folder=tmp_path / "calls") as caller:
        await caller.hears("how can I help you")
        await caller.hangs_up()

    assert caller.folder.parent == tmp_path / "calls"
    assert caller.record.reason is EndReason.CALLER_HUNG_UP
    assert replay(caller.folder, build_core).identical


async def test_a_call_that_is_not_written_has_no_folder(autojump_clock: MockClock):
    async with live_call(RECEPTION, backend="scripted") as caller:
        await caller.hangs_up()

    with pytest.raises(ValueError, match="folder=…"):
        _ = caller.folder


async def test_a_failure_in_the_block_leaves_it_as_it_is(autojump_clock: MockClock):
    with pytest.raises(ZeroDivisionError):
        async with live_call(RECEPTION, backend="scripted"):
            raise ZeroDivisionError


async def test_scripts_of_ones_own_are_followed(autojump_clock: MockClock, tmp_path: Path):
    (tmp_path / "scripts").mkdir()
    script = 'start = "hello"\n[states.hello]\nprompt = "This is the bank."\naction = { call = "end_call" }\n'
    (tmp_path / "scripts" / "bank.toml").write_text(script)
    plan = RECEPTION.read_text().replace('script = "reception"', 'script = "bank"')
    (tmp_path / "plan.toml").write_text(plan)

    async with live_call("plan.toml", backend="scripted", scripts="scripts", near=[tmp_path]) as caller:
        await caller.hears("this is the bank")


async def test_why_there_is_no_voice_is_told(autojump_clock: MockClock, tmp_path: Path):
    plan = RECEPTION.read_text().replace('script = "reception"', 'script = "receptoin"')
    (tmp_path / "plan.toml").write_text(plan)

    async with live_call(tmp_path / "plan.toml", backend="scripted") as caller:
        with pytest.raises(AssertionError, match=r"no script 'receptoin'; there are: .*reception"):
            await caller.hears("how can I help you")


async def test_a_file_that_is_not_there_is_named_with_where_it_was_looked_for(
    autojump_clock: MockClock, tmp_path: Path
):
    with pytest.raises(FileNotFoundError, match=r"plans\.toml is not in .*tests"):
        async with live_call("plans.toml", near=[tmp_path / "tests"]):
            pass


async def test_a_backend_that_does_not_exist_is_refused(autojump_clock: MockClock):
    with pytest.raises(ValueError, match="'scripted'"):
        async with live_call(RECEPTION, backend="scriptd"):  # type: ignore[arg-type]
            pass


def test_real_time_is_refused_with_what_to_do():
    async def call():
        async with live_call(RECEPTION, backend="scripted"):
            pass

    with pytest.raises(RuntimeError, match="autojump_clock"):
        trio.run(call)


# -- in words


@spoken
async def test_the_embedded_voice_understands_and_is_understood(autojump_clock: MockClock, tmp_path: Path):
    for name, text in {
        "four": "A table for four people, please.",
        "day": "On Friday.",
        "time": "At seven thirty.",
    }.items():
        write_wav(tmp_path / f"{name}.wav", voice().synthesize(text), 24000)

    async with live_call(RECEPTION, near=[tmp_path]) as caller:
        await caller.hears("Harbour Kitchen. How can I help you?")
        await caller.says("four.wav")
        await caller.hears("for which day")
        await caller.says("day.wav")
        await caller.hears("at what time")
        await caller.says("time.wav")
        await caller.hears("a table for 4")
        await caller.hears("is that right")


@spoken
async def test_in_words_what_is_still_being_said_counts_when_the_time_is_up(autojump_clock: MockClock):
    async with live_call(RECEPTION) as caller:
        await caller.hears("thank you for calling", within_s=2)

        with pytest.raises(AssertionError, match=r"heard   nothing|heard   '…"):
            await caller.hears("how can I help you", within_s=0.1)


@spoken
async def test_in_words_what_was_played_before_a_key_does_not_count_after_it(autojump_clock: MockClock):
    async with live_call(RECEPTION) as caller:
        await caller.twilio.speaking()
        await caller.twilio.silence(2)
        await caller.presses("1")

        with pytest.raises(AssertionError) as failure:
            await caller.hears("thank you for calling", within_s=6)

    assert "Tuesday" in str(failure.value)


@spoken
async def test_what_counts_is_what_was_played(autojump_clock: MockClock, tmp_path: Path):
    write_wav(tmp_path / "words.wav", voice().synthesize("The fish is fresh today."), 24000)

    async with live_call(RECEPTION, backend=EchoBackend()) as caller:  # it tells no text of what it says
        await caller.says(tmp_path / "words.wav")
        await caller.hears("the fish is fresh today")
