"""The two requests that end or turn a call from outside its stream. Twilio docs, "Call resource"."""

import random

import httpx
import msgspec
import trio

__all__ = ["RestFailed", "TwilioRest"]

API_URL = "https://api.twilio.com"
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0
MOST_TWIML_CHARS = 4000

# 20404: no such call; 21220: it is not in progress. Either way the caller is gone, which was wanted.
GONE_CODES = frozenset({20404, 21220})


class RestFailed(Exception):
    """Twilio did not do it. The text says what it answered; it holds no credentials and no number."""


class _Problem(msgspec.Struct):
    code: int = 0


class TwilioRest:
    """Requests to Twilio's REST API for one account.

    `deadline_s`: how long one request is repeated while Twilio is busy, broken or out of reach. `client` is
    the caller's to close.
    """

    def __init__(
        self,
        account_sid: str,
        auth_token: str,
        client: httpx.AsyncClient,
        jitter: random.Random,
        *,
        api_url: str = API_URL,
        deadline_s: float = 60.0,
    ) -> None:
        self._calls_url = f"{api_url}/2010-04-01/Accounts/{account_sid}/Calls"
        self._auth = httpx.BasicAuth(account_sid, auth_token)
        self._client = client
        self._jitter = jitter
        self._deadline_s = deadline_s

    async def hang_up(self, call_sid: str) -> None:
        """End a call. That it has ended already is fine. Raises `RestFailed`."""
        await self._update(call_sid, {"Status": "completed"})

    async def redirect(self, call_sid: str, twiml: str) -> None:
        """Give a call other TwiML, which ends its stream. That the call is over is fine. Raises `RestFailed`."""
        if len(twiml) > MOST_TWIML_CHARS:
            raise ValueError(f"TwiML of {len(twiml)} characters; {MOST_TWIML_CHARS} are allowed")
        await self._update(call_sid, {"Twiml": twiml})

    async def _update(self, call_sid: str, form: dict[str, str]) -> None:
        problem = "no answer"
        with trio.move_on_after(self._deadline_s):
            pause_s = FIRST_PAUSE_S
            while True:
                try:
                    response = await self._client.post(
                        f"{self._calls_url}/{call_sid}.json", data=form, auth=self._auth
                    )
                except httpx.TransportError as error:
                    problem = type(error).__name__
                else:
                    if response.is_success or _is_gone(response):
                        return
                    problem = f"{response.status_code} ({_code(response)})"
                    if response.status_code != 429 and response.status_code < 500:
                        break
                await trio.sleep(pause_s * self._jitter.uniform(0.5, 1.0))
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
        raise RestFailed(f"Twilio's REST API: {problem}")


def _is_gone(response: httpx.Response) -> bool:
    return response.status_code == 404 or _code(response) in GONE_CODES


def _code(response: httpx.Response) -> int:
    """Twilio's own error code; 0 where there is none."""
    try:
        return msgspec.json.decode(response.content, type=_Problem).code
    except (msgspec.DecodeError, RecursionError):
        return 0
