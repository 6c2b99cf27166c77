"""The resamplers give the same bytes on every BLAS kernel that this CPU has.

OpenBLAS brings a kernel for each family of CPUs, which add in different orders, with and without fused
multiply-add. Each runs in a process of its own, because the choice is made when numpy is imported.
"""

import hashlib
import os
import platform
import signal
import subprocess
import sys
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

import gateway
from gateway.audio.resample import RATES_HZ, resampler

X86_KERNELS = (
    "Prescott",
    "Nehalem",
    "Sandybridge",
    "Haswell",
    "Zen",
    "SkylakeX",
    "Cooperlake",
    "Sapphirerapids",
)
ARM_KERNELS = ("ARMV8", "CORTEXA57", "NEOVERSEN1", "NEOVERSEV1", "NEOVERSEN2", "ARMV8SVE", "VORTEXM4")
KERNELS = ARM_KERNELS if platform.machine() in {"aarch64", "arm64"} else X86_KERNELS
CALLED_OTHERWISE = {"Prescott": "Katmai"}  # the oldest name of the same kernel is what OpenBLAS answers
OPENBLAS = sorted(Path(np.__file__).parents[1].glob("numpy.libs/*openblas*"))

SAMPLES = 24_000
CHUNKS = (160, 320, 480, 40 * 160, 40 * 320, 40 * 480, 7, 161, 997, SAMPLES)

PROGRAM = """
import ctypes, hashlib, sys
from itertools import permutations
from gateway.audio.resample import RATES_HZ, resampler

library = ctypes.CDLL(sys.argv[1])
library.scipy_openblas_get_corename64_.restype = ctypes.c_char_p
pcm = sys.stdin.buffer.read()
print(library.scipy_openblas_get_corename64_().decode())
for chunk in map(int, sys.argv[2:]):
    chunks = [pcm[at : at + 2 * chunk] for at in range(0, len(pcm), 2 * chunk)]
    streams = [resampler(*pair) for pair in permutations(RATES_HZ, 2)]
    output = [stream.feed(chunk) for stream in streams for chunk in chunks]
    print(hashlib.sha256(b"".join(output)).hexdigest())
"""


def pseudo_noise() -> bytes:
    """Full-scale noise that no version of numpy makes differently."""
    blocks = (hashlib.sha256(i.to_bytes(4, "little")).digest() for i in range(SAMPLES // 16))
    return b"".join(blocks)


def hash_here(pcm: bytes) -> str:
    """In this process and in one piece; test_resample.py compares that with integer arithmetic."""
    output = [resampler(*pair).feed(pcm) for pair in permutations(RATES_HZ, 2)]
    return hashlib.sha256(b"".join(output)).hexdigest()


@pytest.mark.skipif(not OPENBLAS, reason="this numpy does not bring its own OpenBLAS")
@pytest.mark.parametrize("kernel", KERNELS)
def test_a_kernel_gives_the_same_bytes_at_every_chunk_size(kernel: str) -> None:
    pcm = pseudo_noise()

    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(OPENBLAS[0]), *map(str, CHUNKS)],
        input=pcm,
        capture_output=True,
        check=False,
        timeout=60,
        env=os.environ | {"OPENBLAS_CORETYPE": kernel, "PYTHONPATH": str(Path(gateway.__file__).parents[1])},
    )

    if ran.returncode == -signal.SIGILL:
        pytest.skip(f"left out: this CPU cannot run the kernel {kernel}")
    assert ran.returncode == 0, ran.stderr.decode()
    name, *hashes = ran.stdout.decode().split()
    assert hashes == [hash_here(pcm)] * len(CHUNKS)
    if name != CALLED_OTHERWISE.get(kernel, kernel):
        pytest.skip(f"left out: this OpenBLAS runs the kernel {name} when asked for {kernel}")
