"""ONNX models opened so that they share a machine with an event loop: one thread each, no spinning."""

import os
from pathlib import Path
from typing import Any

__all__ = ["load_runtime", "open_model"]


def load_runtime() -> Any:
    """Import onnxruntime, without letting it report to its maker.

    From 1.29 on its Linux wheels send what models are loaded and how they are used, and keep what they could
    not send in ~/.cache. This variable is the one switch that is read early enough; nothing else may import
    the package first.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    return onnxruntime


def open_model(path: Path) -> Any:
    """Return an `onnxruntime.InferenceSession` on one CPU thread. Its `run` may be called from any thread.

    More threads would make one turn faster and forty calls slower: the loop's core would be shared out.
    A spinning pool burns a core while nobody speaks.
    """
    onnxruntime = load_runtime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # warnings are about the export of the model, not about us
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
