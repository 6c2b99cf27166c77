"""Which transaction a message belongs to, on an explicit clock."""

from gateway.wire.sip.message import Request, Response, ack_for, cancel_for, response_to
from gateway.wire.sip.parser import parse_datagram
from gateway.wire.sip.transactions import (
    Acknowledged,
    Answered,
    Asked,
    Broken,
    ClientKey,
    Happened,
    Over,
    Send,
    ServerKey,
    TimedOut,
    Transactions,
    key_of,
)

FLOW = "here"


def request(
    method: str = "INVITE",
    *,
    branch: str = "z9hG4bK1",
    to_tag: str = "",
    cseq: int = 1,
    host: str = "client.example",
) -> Request:
    lines = {
        "Via": f"SIP/2.0/UDP {host}{branch and ';branch='}{branch}",
        "From": "<sip:anna@example.com>;tag=a1",
        "To": f"<sip:bob@example.com>{to_tag and ';tag='}{to_tag}",
        "Call-ID": f"c1@{host}",
        "CSeq": f"{cseq} {method}",
        "Max-Forwards": "70",
        "Content-Length": "0",
    }
    text = f"{method} sip:bob@example.com SIP/2.0\r\n" + "".join(
        f"{name}: {value}\r\n" for name, value in lines.items()
    )
    parsed = parse_datagram(text.encode() + b"\r\n")
    assert isinstance(parsed, Request)
    return parsed


class Agent:
    """All transactions of one agent, and what happened to them."""

    def __init__(self, *, reliable: bool = False, most: int = 100) -> None:
        self.transactions = Transactions(most=most)
        self.reliable = reliable

    def asks(self, asked: Request, now: float = 0.0) -> list[Happened]:
        self.transactions.ask(asked, FLOW, now, reliable=self.reliable)
        return self.transactions.happened()

    def gets(self, message: Request | Response, now: float = 0.0, flow: str = FLOW) -> list[Happened]:
        self.transactions.receive(message, flow, now, reliable=self.reliable)
        return self.transactions.happened()

    def is_asked(self, asked: Request, now: float = 0.0) -> ServerKey:
        (happened,) = self.gets(asked, now)
        assert isinstance(happened, Asked)
        return happened.key

    def says(self, key: ServerKey, answer: Response, now: float = 0.0) -> list[Happened]:
        self.transactions.respond(key, answer, now)
        return self.transactions.happened()

    def passes(self, now: float) -> list[Happened]:
        self.transactions.advance(now)
        return self.transactions.happened()


def sent(happened: list[Happened]) -> list[str]:
    """Methods and statuses of what went out."""
    messages = [each.message for each in happened if isinstance(each, Send)]
    return [each.method if isinstance(each, Request) else str(each.status) for each in messages]


# -- as client


def test_a_response_belongs_to_the_request_with_its_branch_and_method():
    agent, invite = Agent(), request()
    agent.asks(invite)

    (happened,) = agent.gets(response_to(invite, 180, to_tag="b"), 0.1)

    assert isinstance(happened, Answered)
    assert (happened.key, happened.response.status) == (("z9hG4bK1", "INVITE"), 180)


def test_the_response_to_a_cancel_is_not_taken_for_one_to_its_invite():
    agent, invite = Agent(), request()
    agent.asks(invite)
    cancel = cancel_for(invite)
    agent.asks(cancel)

    (happened,) = agent.gets(response_to(cancel, 200, to_tag="b"), 0.1)

    assert isinstance(happened, Answered)
    assert happened.key.method == "CANCEL"


def test_a_response_to_nothing_that_we_asked_is_dropped():
    assert Agent().gets(response_to(request(), 200, to_tag="b")) == []


def test_a_refused_invite_is_acknowledged_where_it_went_with_its_own_branch():
    agent, invite = Agent(), request()
    agent.asks(invite)

    happened = agent.gets(response_to(invite, 486, to_tag="b"), 0.1)

    assert sent(happened) == ["ACK"]
    ack = next(each.message for each in happened if isinstance(each, Send))
    assert ack.headers["Via"] == invite.headers["Via"]
    assert "tag=b" in ack.headers["To"]


def test_a_request_that_nobody_answers_is_repeated_and_given_up():
    agent = Agent()
    agent.asks(request("OPTIONS"))

    happened = agent.passes(40.0)

    assert sent(happened) == ["OPTIONS"] * 10
    assert [type(each) for each in happened[-2:]] == [TimedOut, Over]
    assert agent.transactions.deadline is None


def test_what_goes_over_a_broken_flow_is_told_at_once():
    agent = Agent()
    agent.asks(request("OPTIONS"))

    agent.transactions.broken(FLOW, 0.3)

    key = ClientKey("z9hG4bK1", "OPTIONS")
    assert agent.transactions.happened() == [Broken(key), Over(key)]


# -- as server


def test_a_request_is_told_once_and_repetitions_get_its_last_response():
    agent = Agent()
    key = agent.is_asked(request())
    agent.says(key, response_to(request(), 180, to_tag="b"))

    happened = agent.gets(request(), 0.5)

    assert sent(happened) == ["180"]


def test_the_ack_of_a_refusal_ends_there():
    agent = Agent()
    key = agent.is_asked(request())
    refusal = response_to(request(), 486, to_tag="b")
    agent.says(key, refusal)

    assert agent.gets(ack_for(request(), refusal), 0.2) == []
    assert sent(agent.passes(10.0)) == []


def test_the_ack_of_a_2xx_is_told_whatever_its_branch():
    agent = Agent()
    key = agent.is_asked(request())
    agent.says(key, response_to(request(), 200, to_tag="b"))

    (happened,) = agent.gets(request("ACK", branch="z9hG4bK2", to_tag="b"), 0.2)

    assert isinstance(happened, Acknowledged)


def test_the_ack_of_a_2xx_that_wrongly_has_the_branch_of_the_invite_is_told_as_well():
    agent = Agent()
    key = agent.is_asked(request())
    agent.says(key, response_to(request(), 200, to_tag="b"))

    (happened,) = agent.gets(request("ACK", to_tag="b"), 0.2)

    assert isinstance(happened, Acknowledged)


def test_a_cancel_names_the_invite_that_it_is_for():
    agent = Agent()
    key = agent.is_asked(request())

    (happened,) = agent.gets(cancel_for(request()), 0.2)

    assert isinstance(happened, Asked)
    assert happened.cancels == key


def test_a_cancel_of_nothing_names_nothing():
    (happened,) = Agent().gets(cancel_for(request()))

    assert isinstance(happened, Asked)
    assert happened.cancels is None


def test_a_request_that_came_by_two_ways_is_refused_the_second_time():
    agent = Agent()
    agent.is_asked(request())

    happened = agent.gets(request(branch="z9hG4bKother"), 0.1)

    assert sent(happened) == ["482"]


def test_a_call_that_comes_again_by_another_way_after_it_was_refused_is_refused_alike():
    agent = Agent()
    refusal = response_to(request(), 503, to_tag="b", reason="Full")
    refusal.headers["Retry-After"] = "1"
    agent.says(agent.is_asked(request()), refusal)
    again = request(branch="z9hG4bKother")

    (happened,) = agent.gets(again, 0.1)

    assert isinstance(happened, Send)
    answer = happened.message
    assert isinstance(answer, Response)
    assert (answer.status, answer.reason, answer.headers["Retry-After"]) == (503, "Full", "1")
    assert answer.headers["Via"] == again.headers["Via"]
    assert answer.headers["To"] == refusal.headers["To"]
    assert agent.gets(ack_for(again, answer), 0.2) == []


def test_a_call_that_comes_again_by_another_way_after_it_was_taken_is_refused():
    agent = Agent()
    agent.says(agent.is_asked(request()), response_to(request(), 200, to_tag="b"))

    happened = agent.gets(request(branch="z9hG4bKother"), 0.1)

    assert sent(happened) == ["482"]


def test_two_requests_of_one_dialog_may_share_a_number():
    agent = Agent()
    agent.is_asked(request("INFO", to_tag="b"))

    (happened,) = agent.gets(request("INFO", to_tag="b", branch="z9hG4bK2"))

    assert isinstance(happened, Asked)


def test_the_same_branch_of_another_client_is_another_request():
    agent = Agent()
    agent.is_asked(request())

    (happened,) = agent.gets(request(host="other.example"))

    assert isinstance(happened, Asked)


def test_a_client_without_branches_is_matched_by_all_that_names_its_request():
    agent = Agent()
    key = agent.is_asked(request(branch=""))
    refusal = response_to(request(branch=""), 486, to_tag="b")
    agent.says(key, refusal)

    repeated = agent.gets(request(branch=""), 0.3)
    acknowledged = agent.gets(request("ACK", to_tag="b", branch=""), 0.4)

    assert sent(repeated) == ["486"]
    assert acknowledged == []
    assert sent(agent.passes(10.0)) == []


def test_a_second_final_response_is_not_sent():
    agent = Agent()
    key = agent.is_asked(request())
    agent.says(key, response_to(request(), 486, to_tag="b"))

    assert not agent.transactions.respond(key, response_to(request(), 200, to_tag="b"), 0.1)
    assert sent(agent.gets(request(), 0.5)) == ["486"]


def test_more_requests_than_may_be_under_way_are_dropped():
    agent = Agent(most=1)
    agent.is_asked(request())

    assert agent.gets(request("OPTIONS", branch="z9hG4bK2", cseq=2)) == []


def test_when_all_is_over_nothing_is_left():
    agent = Agent()
    key = agent.is_asked(request())
    agent.says(key, response_to(request(), 486, to_tag="b"))
    agent.asks(request("OPTIONS", branch="z9hG4bK9"))

    agent.passes(100.0)

    assert agent.transactions.deadline is None
    assert isinstance(agent.gets(request(), 101.0)[0], Asked)


# -- ends


def test_a_transaction_that_is_over_is_told_of_and_gone():
    agent = Agent()
    key = agent.is_asked(request("OPTIONS"))
    agent.says(key, response_to(request("OPTIONS"), 200, to_tag="b"))
    assert (key in agent.transactions, len(agent.transactions)) == (True, 1)

    happened = agent.passes(32.0)

    assert happened == [Over(key)]
    assert (key in agent.transactions, len(agent.transactions)) == (False, 0)


def test_a_request_that_is_forgotten_is_not_sent_again_and_its_answers_are_nobodys():
    agent, invite = Agent(), request()
    key = agent.transactions.ask(invite, FLOW, 0.0, reliable=False)
    agent.transactions.happened()

    agent.transactions.forget(key)

    assert agent.transactions.happened() == [Over(key)]
    assert agent.passes(10.0) == []
    assert agent.gets(response_to(invite, 200, to_tag="b"), 10.0) == []


def test_a_request_of_theirs_that_is_forgotten_is_new_when_it_comes_again():
    agent, invite = Agent(), request()
    key = agent.is_asked(invite)

    agent.transactions.forget(key)

    over, asked = agent.gets(invite, 0.5)
    assert over == Over(key)
    assert isinstance(asked, Asked)


def test_a_response_that_has_somebody_elses_via_too_is_dropped():
    agent, invite = Agent(), request()
    agent.asks(invite)
    response = response_to(invite, 200, to_tag="b")
    response.headers.add("Via", "SIP/2.0/UDP other.example;branch=z9hG4bK2")

    assert agent.gets(response, 0.1) == []


def test_the_transaction_of_what_came_is_known_before_it_is_received():
    agent, invite = Agent(), request()
    key = agent.is_asked(invite)

    refused = response_to(invite, 486, to_tag="b")

    assert key_of(invite) == key
    assert key_of(ack_for(invite, refused)) == key
    assert key_of(refused) == ClientKey("z9hG4bK1", "INVITE")
