"""The input audio buffer: what is judged late, committed, cleared, or no longer to be judged at all."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from gateway.voice.embedded.input_audio import InputAudio, SpeechStarted, SpeechStopped
from gateway.voice.embedded.session_settings import SemanticVad, ServerVad
from gateway.voice.embedded.vad import HOP_BYTES, HOP_MS

HOP = bytes(48 * HOP_MS)


def judged(turns: InputAudio, likely: list[float]) -> list[SpeechStarted | SpeechStopped]:
    """Append a hop for each number and judge it at once."""
    found = []
    for probability in likely:
        for _ in turns.append(HOP):
            event = turns.judge(probability)
            if event is not None:
                found.append(event)
    return found


def late(turns: InputAudio, hops: int, likely: float) -> list[SpeechStarted | SpeechStopped]:
    """Judge hops that were appended earlier."""
    return [event for event in (turns.judge(likely) for _ in range(hops)) if event is not None]


# -- judged after they were committed or cleared


def test_what_was_committed_begins_no_turn_when_it_is_judged():
    turns = InputAudio(ServerVad())
    hops = len(turns.append(HOP * 10))

    turns.commit()

    assert late(turns, hops, 1.0) == []
    assert not turns.speaking


def test_what_was_cleared_begins_no_turn_when_it_is_judged():
    turns = InputAudio(ServerVad())
    hops = len(turns.append(HOP * 10))

    turns.clear()

    assert late(turns, hops, 1.0) == []
    assert not turns.speaking


def test_a_hop_that_was_half_committed_begins_no_turn():
    turns = InputAudio(ServerVad())
    turns.append(HOP[: len(HOP) // 2])
    turns.commit()

    hops = turns.append(HOP[len(HOP) // 2 :])

    assert len(hops) == 1
    assert late(turns, 1, 1.0) == []


def test_what_is_said_after_a_commit_begins_a_turn_that_starts_behind_it():
    turns = InputAudio(ServerVad())
    hops = len(turns.append(HOP * 10))
    turns.commit()
    late(turns, hops, 1.0)

    (started,) = judged(turns, [1.0])

    assert started == SpeechStarted(10 * HOP_MS)


def test_a_hop_of_speech_before_a_commit_does_not_count_for_one_after_it():
    turns = InputAudio(ServerVad())
    judged(turns, [0.6])
    turns.commit()

    assert judged(turns, [0.6]) == []
    assert judged(turns, [0.6]) == [SpeechStarted(HOP_MS)]


def test_a_turn_that_was_committed_has_no_end():
    turns = InputAudio(ServerVad())
    judged(turns, [1.0] * 5)

    turns.commit()

    assert judged(turns, [0.0] * 40) == []


# -- committed


def test_a_turn_is_committed_from_its_start():
    turns = InputAudio(ServerVad(prefix_padding_ms=64))
    judged(turns, [0.0] * 20)
    judged(turns, [1.0] * 5)

    clip = turns.commit()

    assert len(clip) == 48 * (64 + 5 * HOP_MS)


def test_what_is_committed_is_in_the_buffer_no_more():
    turns = InputAudio(None)
    turns.append(HOP * 10)
    turns.commit()

    assert turns.uncommitted_ms == 0
    assert turns.commit() == b""


def test_all_that_a_client_appends_by_hand_is_committed_however_long():
    turns = InputAudio(None)
    for _ in range(100):
        turns.append(bytes(48_000))

    assert len(turns.commit()) == 100 * 48_000


def test_the_buffer_of_a_client_that_never_commits_has_a_bound():
    turns = InputAudio(None)
    for _ in range(400):
        turns.append(bytes(48_000))

    assert turns.uncommitted_ms == 330_000
    assert turns.appended_ms == 400_000


def test_a_long_recording_appended_at_once_gives_every_turn_its_audio():
    turns = InputAudio(ServerVad(prefix_padding_ms=0))
    spoken = [1.0] * 20 + [0.0] * 280  # one turn in each ten seconds
    recording = b"".join(
        bytes([number]) * len(HOP) * 20 + HOP * 280  # a constant, which the filter leaves alone
        for number in range(6)
    )

    hops = turns.append(recording)
    events = [event for likely in spoken * 6 if (event := turns.judge(likely)) is not None]

    clips = [event.clip for event in events if isinstance(event, SpeechStopped)]
    assert len(hops) == 6 * 300
    assert [clip[0] for clip in clips] == list(range(6))
    assert {len(clip) for clip in clips} == {48 * (20 * HOP_MS + 200)}


def test_while_nobody_speaks_little_is_kept():
    turns = InputAudio(ServerVad())

    judged(turns, [0.0] * 1000)

    assert turns.uncommitted_ms < 300 + 1000 + 2 * HOP_MS


# -- detection off and on


def test_hops_that_are_judged_after_detection_was_turned_off_and_on_count_for_nothing():
    turns = InputAudio(ServerVad())
    hops = len(turns.append(HOP * 10))
    turns.detect_turns(None)
    turns.append(HOP * 10)
    turns.detect_turns(ServerVad())

    assert late(turns, hops, 1.0) == []
    assert judged(turns, [1.0]) == [SpeechStarted(20 * HOP_MS - 300)]


def test_turning_detection_off_leaves_the_audio_to_be_committed():
    turns = InputAudio(ServerVad())
    judged(turns, [1.0] * 10)

    turns.detect_turns(None)
    turns.append(HOP)

    assert not turns.speaking
    assert len(turns.commit()) == 11 * len(HOP)


def test_other_settings_take_over_a_turn_in_progress():
    turns = InputAudio(ServerVad(silence_duration_ms=500))
    judged(turns, [1.0] * 5)

    turns.detect_turns(ServerVad(silence_duration_ms=64))

    (stopped,) = judged(turns, [0.0] * 2)
    assert isinstance(stopped, SpeechStopped)
    assert stopped.end_ms == 7 * HOP_MS


def test_an_eager_listener_waits_less_than_a_patient_one():
    silences = []
    for eagerness in ("high", "auto", "medium", "low"):
        turns = InputAudio(SemanticVad(eagerness=eagerness))
        judged(turns, [1.0] * 5)
        (stopped,) = judged(turns, [0.0] * 100)
        silences.append(stopped.end_ms - 5 * HOP_MS if isinstance(stopped, SpeechStopped) else 0)

    assert silences == [320, 608, 608, 1216]  # 300, 600 and 1200 in whole hops


# -- where speech ends


def stopped_ms(*likely: float, threshold: float = 0.5) -> int:
    """Where a turn that begins with five hops of speech ends, when it goes on like this and then is silent."""
    turns = InputAudio(ServerVad(threshold=threshold, silence_duration_ms=320))
    (_, stopped) = judged(turns, [1.0] * 5 + list(likely) + [0.0] * 20)
    assert isinstance(stopped, SpeechStopped)
    return stopped.end_ms


def test_the_hop_in_which_the_detector_makes_up_its_mind_was_silence_already():
    assert stopped_ms() == (5 + 10) * HOP_MS
    assert stopped_ms(0.4) == (5 + 10) * HOP_MS
    assert stopped_ms(0.45, 0.4) == (5 + 10) * HOP_MS


def test_what_lasts_longer_may_have_been_soft_speech():
    assert stopped_ms(*[0.4] * 10) == (5 + 8 + 10) * HOP_MS


def test_speech_that_comes_back_begins_the_silence_anew():
    assert stopped_ms(0.4, 0.0, 0.0, 0.6) == (9 + 10) * HOP_MS


def test_a_turn_ends_where_the_threshold_is_low_too():
    assert stopped_ms(threshold=0.1) == (5 + 10) * HOP_MS


# -- whatever happens

WHAT = st.sampled_from(
    ["append", "append", "append", "half", "judge", "judge", "commit", "clear", "off", "on"]
)


@given(st.lists(st.tuples(WHAT, st.sampled_from([0.0, 0.4, 0.6, 1.0])), max_size=120))
def test_the_axis_is_the_audio_appended_whatever_happens(steps):
    turns = InputAudio(ServerVad())
    waiting, appended_ms, over_ms, begun_ms = 0, 0, 0, None

    for what, likely in steps:
        match what:
            case "append" | "half":
                pcm = HOP if what == "append" else HOP[: len(HOP) // 2]
                waiting += len(turns.append(pcm))
                appended_ms += len(pcm) // 48
            case "judge" if waiting:
                waiting -= 1
                event = turns.judge(likely)
                if isinstance(event, SpeechStarted):
                    assert over_ms <= event.start_ms <= appended_ms
                    begun_ms = event.start_ms
                elif isinstance(event, SpeechStopped):
                    assert begun_ms is not None
                    assert begun_ms <= event.end_ms <= appended_ms
                    begun_ms = None
            case "commit" | "clear":
                turns.commit() if what == "commit" else turns.clear()
                over_ms, begun_ms = appended_ms, None
            case "off" | "on":
                turns.detect_turns(ServerVad() if what == "on" else None)
        assert turns.appended_ms == appended_ms


@given(st.lists(st.integers(1, 5000), max_size=40))
def test_hops_are_the_same_however_the_audio_is_cut(sizes):
    samples = bytes(itertools.chain.from_iterable((n % 251, n % 7) for n in range(sum(sizes))))
    whole = InputAudio(ServerVad()).append(samples)
    turns = InputAudio(ServerVad())
    ends = list(itertools.accumulate(sizes))

    hops = [
        hop
        for start, end in itertools.pairwise([0, *ends])
        for hop in turns.append(samples[2 * start : 2 * end])
    ]

    assert hops == whole
    assert all(len(hop) == HOP_BYTES for hop in hops)
