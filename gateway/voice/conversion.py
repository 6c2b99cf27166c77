"""Audio in one format as audio in another. A core."""

from gateway.audio.g711 import CODECS
from gateway.audio.resample import resampler
from gateway.contracts import AudioFormat

__all__ = ["FILTER_MS", "Conversion"]

FILTER_MS = 3  # the longest of the resampler's filters: so much silence brings out all that is inside


class Conversion:
    """A stream of audio, from one format to another. Where both are the same it is handed on untouched."""

    def __init__(self, source: AudioFormat, target: AudioFormat) -> None:
        self._source = source
        self._same = source == target
        self._decode = CODECS[source.encoding].decode if source.encoding != "pcm" else bytes
        self._encode = CODECS[target.encoding].encode if target.encoding != "pcm" else bytes
        self._filters = source.rate_hz != target.rate_hz
        self._filled = False
        self._resampler = resampler(source.rate_hz, target.rate_hz)

    def carry(self, audio: bytes) -> bytes:
        """The next audio. Of PCM, whole samples."""
        if self._same:
            return audio
        if audio:
            self._filled = self._filters
        return self._encode(self._resampler.feed(self._decode(audio)))

    def rest(self) -> bytes:
        """What is still inside, at the end of a stretch of audio; the stream may go on after it."""
        if not self._filled:
            return b""
        self._filled = False
        pcm = self._resampler.feed(bytes(FILTER_MS * self._source.rate_hz * 2 // 1000))
        self._resampler.reset()
        return self._encode(pcm)
