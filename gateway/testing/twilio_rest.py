"""The part of Twilio's REST API that ends and redirects calls, for `httpx.MockTransport`."""

import base64
import re
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

import httpx
import msgspec

from gateway.testing.fake_twilio import FakeTwilio

__all__ = ["FakeTwilioRest", "RestRequest"]

_CALL_PATH = re.compile(r"/2010-04-01/Accounts/(AC[0-9a-f]{32})/Calls/(CA[0-9a-f]{32})\.json")

MAX_TWIML_CHARS = 4000

NOT_AUTHENTICATED = 20003
NOT_FOUND = 20404
TOO_MANY_REQUESTS = 20429
NOT_IN_PROGRESS = 21220
INVALID_TWIML = 21218
NOTHING_TO_DO = 21201


class RestRequest(msgspec.Struct, frozen=True):
    """A request for a call as it came, and the status of the answer."""

    call_sid: str
    form: dict[str, str]
    status: int


class FakeTwilioRest:
    """Answers `POST …/Calls/{sid}.json` for the calls of one `FakeTwilio`, and carries it out there.

    `httpx.AsyncClient(transport=httpx.MockTransport(FakeTwilioRest(twilio)))`
    """

    def __init__(self, twilio: FakeTwilio) -> None:
        self.requests: list[RestRequest] = []
        self._twilio = twilio
        self._to_refuse = 0

    def refuses_next(self, count: int) -> None:
        """Answer the next so many requests with 429, code 20429."""
        self._to_refuse = count

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = _CALL_PATH.fullmatch(request.url.path)
        if path is None or path[1] != self._twilio.account.account_sid or request.method != "POST":
            return _error(404, NOT_FOUND, f"The requested resource {request.url.path} was not found")
        form = dict(parse_qsl(request.content.decode(), keep_blank_values=True))
        response = self._answer(request, path[2], form)
        self.requests.append(RestRequest(path[2], form, response.status_code))
        return response

    def _answer(self, request: httpx.Request, call_sid: str, form: dict[str, str]) -> httpx.Response:
        if self._to_refuse:
            self._to_refuse -= 1
            return _error(429, TOO_MANY_REQUESTS, "Too Many Requests")
        account = self._twilio.account
        credentials = base64.b64encode(f"{account.account_sid}:{account.auth_token}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {credentials}":
            return _error(401, NOT_AUTHENTICATED, "Authenticate")
        call = self._twilio.calls.get(call_sid)
        if call is None or (call.ending is not None and form.get("Status") == "completed"):
            return _error(404, NOT_FOUND, f"The requested resource {request.url.path} was not found")
        if call.ending is not None:
            return _error(400, NOT_IN_PROGRESS, "Call is not in-progress. Cannot redirect.")
        if "Url" in form:  # it wins over Twiml
            call.redirect(f"<Response><Redirect>{escape(form['Url'])}</Redirect></Response>".encode())
        elif "Twiml" in form:
            if len(form["Twiml"]) > MAX_TWIML_CHARS:
                return _error(400, INVALID_TWIML, f"Twiml is longer than {MAX_TWIML_CHARS} characters")
            call.redirect(form["Twiml"].encode())
        elif form.get("Status") == "completed":
            call.complete()
        else:
            return _error(400, NOTHING_TO_DO, "neither Status=completed nor Url nor Twiml")
        status = "completed" if form.get("Status") == "completed" else "in-progress"
        return httpx.Response(
            200,
            json={
                "sid": call_sid,
                "account_sid": account.account_sid,
                "from": call.from_,
                "to": call.to,
                "status": status,
                "direction": "inbound",
                "api_version": "2010-04-01",
            },
        )


def _error(status: int, code: int, message: str) -> httpx.Response:
    more = f"https://www.twilio.com/docs/errors/{code}"
    return httpx.Response(
        status, json={"code": code, "message": message, "more_info": more, "status": status}
    )
