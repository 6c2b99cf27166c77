"""baresip calls a gateway by SIP on this machine and says what the shipped caller says, with time for the answers.

    ./ops/sip-caller [URI]      URI: sip:100@127.0.0.1 unless given

What it heard is printed as text, written down by the embedded speech to text, and kept as a WAV. Needs baresip
(Debian, Ubuntu: apt-get install baresip-core).
"""

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from gateway.audio.clip import convert, read_wav, write_wav
from gateway.audio.pauses import utterances
from gateway.voice.embedded.models import load

ROOT = Path(__file__).parent.parent
MODULES = Path("/usr/lib/baresip/modules")
RATE_HZ = 8000
ANSWER_S = 7.0  # as long as the shipped dialogue's longer answers
LONGEST_S = 90

CONFIG = """
poll_method epoll
sip_listen 127.0.0.1:0
audio_source aufile,{wav}
audio_player aubridge,caller
audio_alert aubridge,alert
ausrc_srate 8000
auplay_srate 8000
ausrc_channels 1
auplay_channels 1
net_interface 127.0.0.1
module_path {modules}
module stdio.so
module g711.so
module aufile.so
module aubridge.so
module sndfile.so
module_tmp account.so
module_app menu.so
snd_path {folder}
"""


def with_pauses(recording: Path) -> bytes:
    """The shipped caller's words, each followed by time for an answer."""
    clip = read_wav(recording)
    pause = bytes(int(2 * RATE_HZ * ANSWER_S))
    parts = utterances(convert(clip.pcm, clip.rate_hz, RATE_HZ), RATE_HZ)
    return pause + pause.join(parts) + pause


def call(uri: str, folder: Path) -> Path | None:
    """Call, talk, hang up. The recording of what was heard; None: nobody answered."""
    wav = folder / "caller.wav"
    write_wav(wav, with_pauses(ROOT / "gateway/testing/caller.wav"), RATE_HZ)
    (folder / "config").write_text(CONFIG.format(wav=wav, modules=MODULES, folder=folder))
    (folder / "accounts").write_text("<sip:caller@127.0.0.1>;regint=0;audio_codecs=pcmu/8000/1\n")
    (folder / "contacts").write_text("")
    log = folder / "log"
    command = ["baresip", "-4", "-f", str(folder), "-e", f"/dial {uri}", "-t", str(LONGEST_S)]
    with log.open("w") as output:
        phone = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        while phone.poll() is None and "terminated" not in log.read_text(errors="replace"):
            time.sleep(0.3)
        phone.terminate()
        phone.wait(timeout=10)
    return next(iter(folder.glob("*-dec.wav")), None)


def main() -> int:
    uri = sys.argv[1] if len(sys.argv) > 1 else "sip:100@127.0.0.1"
    if shutil.which("baresip") is None or not MODULES.exists():
        print("baresip is not installed; Debian and Ubuntu have it: apt-get install baresip-core")
        return 1
    folder = Path(tempfile.mkdtemp(prefix="sip-caller-"))
    print(f"calling       {uri}   (half a minute to a minute and a half)")
    heard = call(uri, folder)
    if heard is None:
        reasons = [
            line
            for line in (folder / "log").read_text(errors="replace").splitlines()
            if "100@" in line or "closed" in line
        ]
        print(f"nobody answered at {uri}; the end of {folder / 'log'}:", *reasons[-3:], sep="\n")
        return 1
    clip = read_wav(heard)
    speech = load()
    for part in utterances(convert(clip.pcm, clip.rate_hz, RATE_HZ), RATE_HZ):
        print(f"heard         {speech.transcribe(convert(part, RATE_HZ, 24_000))}")
    print(f"recorded in   {heard}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
