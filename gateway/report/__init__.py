"""A recorded call as one page that needs no server: what was said, what was heard, and where the time went."""

from gateway.report.page import render as render
from gateway.report.page import write_report as write_report
