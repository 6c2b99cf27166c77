"""Recorded calls: what a call core was fed and what it answered, and the same call run again."""

from gateway.traces.format import Header as Header
from gateway.traces.pseudonyms import Pseudonyms as Pseudonyms
from gateway.traces.recorder import Recorder as Recorder
from gateway.traces.replay import accept as accept
from gateway.traces.replay import replay as replay
from gateway.traces.verdict import Outcome as Outcome
from gateway.traces.verdict import Verdict as Verdict
from gateway.traces.verdict import report_lines as report_lines
