"""How the messages of each carrier are read in a trace, for the report."""

from gateway.carriers.sip.reader import SipReader
from gateway.carriers.twilio.reader import TwilioReader
from gateway.report.carriers import Readers

__all__ = ["READERS"]

# By the name that traces know a carrier by, as its leg core. A new carrier is one line here.
READERS: Readers = {"sip": SipReader, "twilio": TwilioReader}
