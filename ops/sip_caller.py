"""baresip calls a gateway by SIP on this machine and says what the shipped caller says, with time for the answers.

    ./ops/sip-caller [URI]      URI: sip:100@127.0.0.1 unless given

What it heard is printed as text, written down by the embedded speech to text, and kept in sip-caller.wav. Needs baresip
(Debian, Ubuntu: apt-get install baresip-core).
"""

import re
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
HEARD = "sip-caller.wav"
PATIENCE_S = 10.0  # for an answer
ENDED = re.compile("terminated|session closed")

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
        give_up_at = time.monotonic() + PATIENCE_S
        while phone.poll() is None and not ENDED.search(said := log.read_text(errors="replace")):
            if "established" not in said and time.monotonic() > give_up_at:
                break
            time.sleep(0.3)
        phone.terminate()
        try:
            phone.wait(timeout=3)
        except subprocess.TimeoutExpired:  # it still tries to tell somebody who is not there
            phone.kill()
            phone.wait()
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
        closed = re.findall("session closed: (.*)", (folder / "log").read_text(errors="replace"))
        print(f"no call       {closed[-1] if closed else f'nobody answered within {PATIENCE_S:g} s'}")
        print(f"              is a gateway at {uri}, and does a trunk of it have 127.0.0.1 in its networks?")
        return 1
    clip = read_wav(heard)
    speech = load()
    for part in utterances(convert(clip.pcm, clip.rate_hz, RATE_HZ), RATE_HZ):
        print(f"heard         {speech.transcribe(convert(part, RATE_HZ, 24_000))}")
    print(f"recorded in   {shutil.copy(heard, HEARD)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
