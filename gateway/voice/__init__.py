"""The voice's half: sessions, what they talk with, and what people import of it."""

from gateway.contracts import Agent as Agent
from gateway.voice.session import VoiceSession as VoiceSession
