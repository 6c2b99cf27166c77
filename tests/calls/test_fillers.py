"""The clips that a caller hears while the voice is away."""

import itertools

from gateway.calls.fillers import FILLER, Fillers
from gateway.contracts import LoadClip, Output


def fillers() -> tuple[Fillers, list[Output]]:
    asked: list[Output] = []
    return Fillers(itertools.count(7).__next__, asked.append), asked


def test_a_clip_is_asked_for_once():
    clips, asked = fillers()

    clips.load(FILLER)
    clips.load(FILLER)
    clips.loaded(7, b"pcm")
    clips.load(FILLER)

    assert asked == [LoadClip(id=7, name=FILLER)]


def test_a_clip_plays_after_300_ms_of_silence():
    clips, _ = fillers()
    clips.load(FILLER)
    clips.loaded(7, b"pcm")

    played = [clips.due(FILLER, at / 50, waiting=True, sounding=False) for at in range(17)]

    assert played == [None] * 15 + [b"pcm"] + [None]


def test_a_clip_that_loads_late_plays_as_soon_as_it_is_there():
    clips, _ = fillers()
    clips.load(FILLER)
    late = [clips.due(FILLER, at / 50, waiting=True, sounding=False) for at in range(40)]

    clips.loaded(7, b"pcm")

    assert late == [None] * 40
    assert clips.due(FILLER, 0.8, waiting=True, sounding=False) == b"pcm"


def test_a_clip_of_somebody_else_means_nothing():
    clips, _ = fillers()
    clips.load(FILLER)

    clips.loaded(8, b"other")

    assert clips.due(FILLER, 0.0, waiting=True, sounding=False) is None
    assert clips.due(FILLER, 1.0, waiting=True, sounding=False) is None
