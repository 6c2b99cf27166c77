"""What people are shown of VoiceSession, word for word. Each example is a function, to be run with any voice."""

# ruff: noqa: N803, A002, RET504 - as it is written there

from collections.abc import Callable
from typing import Any

import trio

from gateway.voice import VoiceSession as Session

Make = Callable[[], Session]


async def a_block(VoiceSession: Make, audio_data: bytes) -> Any:
    session = VoiceSession()
    async with session.connect() as voice:
        await voice.send_audio(audio_data)
        response = await voice.receive()
    return response


async def no_block(VoiceSession: Make, audio_data: bytes) -> Any:
    session = VoiceSession()
    await session.connect()
    try:
        await session.send_audio(audio_data)
        response = await session.receive()
    finally:
        await session.disconnect()
    return response


async def streaming(VoiceSession: Make, audio_data: bytes, play_audio: Callable[[bytes], None]) -> None:
    session = VoiceSession()
    async with session.connect():
        await session.send_audio(audio_data)
        async for chunk in session.stream_receive():
            play_audio(chunk.data)


async def listening(VoiceSession: Make, microphone: Callable[[Session], Any]) -> Any:
    session = VoiceSession()
    async with session.connect(), trio.open_nursery() as nursery:
        nursery.start_soon(microphone, session)
        user_audio = await session.listen()
        response = await session.respond(user_audio)
        nursery.cancel_scope.cancel()
    return user_audio, response


async def listening_for_ten_seconds(VoiceSession: Make) -> None:
    session = VoiceSession()
    async with session.connect():
        user_audio = await session.listen(timeout=10.0)
        raise AssertionError(user_audio)


async def interrupting(VoiceSession: Make, audio_data: bytes) -> Any:
    session = VoiceSession()
    async with session.connect():
        await session.send_audio(audio_data)
        async for chunk in session.stream_receive():
            if chunk.data:
                await session.interrupt()
    return session.messages


async def configuring(VoiceSession: Make, audio_data: bytes) -> Any:
    session = VoiceSession()
    session.configure_turn_detection(enabled=True, threshold=0.5, prefix_padding=300, silence_duration=800)
    session.configure_audio(sample_rate=24000, channels=1, format="pcm16")
    async with session.connect():
        response = await session.respond(audio_data)
    return response


async def events(
    VoiceSession: Make, microphone: Callable[[Session], Any], print: Callable[[str], None]
) -> None:
    session = VoiceSession()

    @session.on("speech_started")
    async def on_speech_started() -> None:
        print("User started speaking")

    @session.on("transcript_available")
    async def on_transcript(text: str) -> None:
        print(f"Transcript: {text}")

    async with session.connect():
        await microphone(session)
        await session.receive()
