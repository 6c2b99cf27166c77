"""The INVITE that begins a call of ours: where it rings, who takes it, and those who take it too late. RFC 3261 §13.2. A core."""

from typing import Literal

from gateway.wire.sip.common import Common
from gateway.wire.sip.dialog import Dialog, Path, request_along
from gateway.wire.sip.endpoint import Rows, described_in
from gateway.wire.sip.fields import TO
from gateway.wire.sip.invite_client import InviteClient
from gateway.wire.sip.message import Request, Response
from gateway.wire.sip.name_addr import NameAddr
from gateway.wire.sip.session_words import AnswerCame, Offered, Progressed

__all__ = ["Invitation"]


class Invitation:
    """Sent at once, along `path`. `parties`: we, and who is called. `description`: the offer, if it is ours to make."""

    def __init__(
        self,
        common: Common,
        path: Path,
        call_id: str,
        *,
        parties: tuple[NameAddr, NameAddr],
        description: bytes | None,
        rows: Rows,
        now: float,
    ) -> None:
        local, remote = parties
        request = request_along(
            path,
            "INVITE",
            local=local,
            remote=remote,
            call_id=call_id,
            number=common.endpoint.new_number() + 1,
            rows=(*common.endpoint.rows_to_invite(path.uri, description), *common.timer.asking(), *rows),
            body=description or b"",
        )
        self._offers = common.offers
        self._timer = common.timer
        self._asking = common.asking
        self._words = common.words
        self._rows: Rows = ()
        self._answers: dict[str | None, bytes] = {}  # the first that each place gave: §13.2.1
        self._offers.happens("blank out" if description is None else "offer out")
        self._client = InviteClient(request, path.next_hop, common.endpoint, common.words, now)

    @property
    def request(self) -> Request:
        """As it was last asked."""
        return self._client.request

    @property
    def dialog(self) -> Dialog | None:
        """With who took the call."""
        return self._client.taken

    @property
    def early_dialogs(self) -> dict[str | None, Dialog]:
        """And those that were declined; by the other's tag."""
        return self._client.dialogs

    @property
    def unwanted(self) -> bool:
        """Whether it was given up, and nobody has said that they know."""
        return self._client.unwanted

    @property
    def over(self) -> bool:
        """Whether nothing can come any more."""
        return self._client.over

    def answered(
        self, response: Response, now: float
    ) -> Literal["answered", "offered", "no answer", "refused"] | None:
        """A response came. The call is taken, with an answer, with an offer that wants one, or without; or refused."""
        if response.status == 422 and self._client.open and self._timer.too_brief(response):
            self._client.again(now, self._timer.asking())
            return None
        match self._client.answered(response, now):
            case "progress":
                self._progressed(response)
            case "take":
                return self._taken(response, now)
            case "refuse":
                self._offers.happens("drop")
                return "refused"
            case "decline":
                self._asking.ask(self._client.dialogs[response.headers[TO].tag], "BYE", self._rows)
        return None

    def acknowledge(self, answer: bytes | None) -> None:
        """Send the ACK. `answer`: to the offer that came in the 2xx."""
        self._client.acknowledge(answer)

    def quit(self, rows: Rows, now: float) -> None:
        """Nobody wants it any more: it is cancelled as soon as it may be; who takes it even so gets a BYE.

        `rows`: headers for the CANCEL and the BYE.
        """
        self._rows = rows
        self._offers.happens("drop")
        self._client.quit(now, rows)

    def advance(self, now: float) -> None:
        self._client.advance(now)

    @property
    def deadline(self) -> float | None:
        return self._client.deadline

    def _progressed(self, response: Response) -> None:
        if response.status == 100:
            return
        self._words.append(Progressed(response))
        tag, said = response.headers[TO].tag, described_in(response)
        if said is not None and tag not in self._answers and self._offers.ours_open:
            self._answers[tag] = said
            self._words.append(AnswerCame(said, early=True))

    def _taken(self, response: Response, now: float) -> Literal["answered", "offered", "no answer"]:
        self._timer.agreed(response, now)
        said = described_in(response)
        if not self._offers.ours_open:
            self._offers.happens("drop" if said is None else "offer in")
            if said is not None:
                self._words.append(Offered(said, response))
            return "no answer" if said is None else "offered"
        answer = self._answers.get(response.headers[TO].tag, said)
        self._offers.happens("drop" if answer is None else "answer in")
        if answer is not None:
            self._words.append(AnswerCame(answer))
        return "no answer" if answer is None else "answered"
