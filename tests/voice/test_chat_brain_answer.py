"""A chat completion is read while it is written, from whichever server."""

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from gateway.testing.fake_chat import ChatReply, FakeChat
from gateway.voice.embedded.brain import Act, Decided, Failure, Thought, Words
from gateway.voice.embedded.chat_answer import ChatAnswer

DONE = b"data: [DONE]\n\n"


def event(delta: dict[str, Any], finish: str | None = None, index: int = 0) -> bytes:
    chunk = {"choices": [{"index": index, "delta": delta, "finish_reason": finish}]}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def said(text: str) -> bytes:
    return event({"content": text})


def called(**call: Any) -> bytes:
    return event({"tool_calls": [call]})


def whole(message: dict[str, Any], finish: str = "stop") -> bytes:
    return json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": finish}]}).encode()


def read(*data: bytes, most_tokens: int | None = None) -> list[Thought]:
    answer = ChatAnswer(most_tokens)
    return [*(thought for piece in data for thought in answer.receive(piece)), *answer.end()]


def failure_of(thoughts: Iterable[Thought]) -> Failure:
    *_, last = thoughts
    assert isinstance(last, Failure)
    return last


def body_of(reply: ChatReply) -> bytes:
    """What a server answers."""
    request = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "Hello"}]}
    answer = FakeChat([reply]).answer(json.dumps(request).encode())
    return b"".join(piece.data or b"" for piece in answer.pieces)


# -- a stream


def test_a_sentence_is_told_when_the_next_one_begins():
    answer = ChatAnswer()

    first = answer.receive(said("We open at nine. "))
    second = answer.receive(said("And"))

    assert first == []
    assert second == [Words("We open at nine.")]


def test_the_end_tells_the_rest_and_that_it_is_whole():
    answer = ChatAnswer()
    answer.receive(said("We open at nine."))

    thoughts = answer.receive(event({}, "stop"))

    assert thoughts == [Words("We open at nine."), Decided()]
    assert answer.over


def test_a_function_call_is_put_together_from_its_pieces():
    thoughts = read(
        called(index=0, id="a", type="function", function={"name": "hours", "arguments": ""}),
        called(index=0, function={"arguments": '{"day":'}),
        called(index=0, function={"arguments": '"today"}'}),
        event({}, "tool_calls"),
        DONE,
    )

    assert thoughts == [Decided((Act("hours", {"day": "today"}),))]


@pytest.mark.parametrize(
    "calls",
    [
        [{"index": 0, "id": "a"}, {"index": 1, "id": "b"}],
        [{"index": 0, "id": "a"}, {"index": 0, "id": "b"}],  # Ollama, Gemini
        [{"id": "a"}, {"id": "b"}],
        [{}, {}],
    ],
)
def test_calls_are_told_apart_however_a_server_numbers_them(calls: list[dict[str, Any]]):
    names = ("one", "two")
    events = [
        called(**call, function={"name": name, "arguments": "{}"})
        for call, name in zip(calls, names, strict=True)
    ]

    assert read(*events, event({}, "tool_calls")) == [Decided((Act("one", {}), Act("two", {})))]


def test_a_name_that_is_repeated_is_one_name():
    first = called(index=0, id="a", function={"name": "hours", "arguments": "{"})
    second = called(index=0, id="a", function={"name": "hours", "arguments": "}"})

    assert read(first, second, event({}, "stop")) == [Decided((Act("hours", {}),))]


def test_a_function_may_be_called_without_arguments():
    assert read(called(index=0, id="a", function={"name": "hours"}), event({}, "stop")) == [
        Decided((Act("hours", {}),))
    ]


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_lines_end_as_the_standard_allows(line_end: str):
    data = (said("Yes.") + event({}, "stop") + DONE).replace(b"\n", line_end.encode())

    assert read(data) == [Words("Yes."), Decided()]


def test_comments_and_other_fields_mean_nothing():
    data = (
        b": OPENROUTER PROCESSING\n\ndata:\n\nevent: message\nid: 5\nretry: 3\n"
        + said("Yes.")
        + event({}, "stop")
    )

    assert read(data) == [Words("Yes."), Decided()]


def test_an_event_may_have_several_lines():
    data = b'\xef\xbb\xbfdata: {"choices":[{"delta":\ndata:{"content":"Yes."},"finish_reason":"stop"}]}\n\n'

    assert read(data) == [Words("Yes."), Decided()]


def test_a_stream_may_end_without_saying_so_twice():
    assert read(said("Yes."), DONE) == [Words("Yes."), Decided()]
    assert read(said("Yes."), event({}, "stop")) == [Words("Yes."), Decided()]
    assert read(said("Yes."), DONE.rstrip()) == [Words("Yes."), Decided()]


def test_what_belongs_to_no_answer_means_nothing():
    usage = b'data: {"choices":[],"usage":{"total_tokens":9}}\n\n'
    other = event({"content": "No."}, index=1)

    assert read(event({"role": "assistant", "content": None}), other, said("Yes."), usage, DONE) == [
        Words("Yes."),
        Decided(),
    ]


def test_thoughts_are_a_beginning_and_are_not_spoken():
    answer = ChatAnswer()
    answer.receive(event({"role": "assistant", "content": ""}))
    before = answer.begun

    answer.receive(event({"reasoning_content": "Hm."}))

    assert (before, answer.begun) == (False, True)
    assert answer.receive(event({"content": "Yes."}, "stop")) == [Words("Yes."), Decided()]


def test_a_refusal_is_spoken():
    assert read(event({"refusal": "I cannot do that."}, "stop")) == [Words("I cannot do that."), Decided()]


# -- a whole answer


def test_a_server_that_does_not_stream_is_understood():
    call = {"id": "a", "type": "function", "function": {"name": "hours", "arguments": '{"day":"today"}'}}
    data = whole({"role": "assistant", "content": "Let me see. Wait.", "tool_calls": [call]}, "tool_calls")

    assert read(data[:20], data[20:]) == [
        Words("Let me see."),
        Words("Wait."),
        Decided((Act("hours", {"day": "today"}),)),
    ]


def test_content_may_come_in_parts_and_arguments_as_an_object():
    parts = [{"type": "thinking", "thinking": []}, {"type": "text", "text": "Yes."}]
    call = {"function": {"name": "hours", "arguments": {"day": "today"}}}

    thoughts = read(whole({"content": parts, "tool_calls": [call]}))

    assert thoughts == [Words("Yes."), Decided((Act("hours", {"day": "today"}),))]


def test_an_answer_without_words_is_whole():
    assert read(whole({"content": None})) == [Decided()]


# -- answers that are cut


@pytest.mark.parametrize(
    ("reason", "cut"), [("length", "max_output_tokens"), ("content_filter", "content_filter")]
)
def test_an_answer_that_was_cut_says_why_and_calls_nothing(reason: str, cut: Any):
    call = called(index=0, id="a", function={"name": "hours", "arguments": '{"da'})

    assert read(said("We open at"), call, event({}, reason)) == [Words("We open at"), Decided(cut=cut)]


def test_an_answer_is_cut_after_as_many_tokens_as_are_allowed():
    thoughts = read(said("One. "), said("two. "), said("three. "), most_tokens=2)

    assert thoughts == [Words("One."), Words("two."), Decided(cut="max_output_tokens")]


def test_an_answer_of_more_than_ten_minutes_is_cut():
    thoughts = read(*[said("word. ")] * 5000)

    assert thoughts[-1] == Decided(cut="max_output_tokens")
    assert sum(len(thought.text) for thought in thoughts if isinstance(thought, Words)) <= 10_000


def test_what_follows_the_end_means_nothing():
    answer = ChatAnswer()
    answer.receive(said("Yes.") + event({}, "stop"))

    assert answer.receive(said("No.") + b"data: {nonsense\n\n") == answer.end() == []


# -- answers that are none


@pytest.mark.parametrize(
    "data", [b"<html>sorry</html>", b"{", b"{}", b"[]", b'{"choices":[]}', b"\xff{", DONE]
)
def test_what_is_no_chat_completion_is_a_failure(data: bytes):
    assert failure_of(read(data)).code == "invalid_answer"


@pytest.mark.parametrize(
    "nonsense",
    [b"data: {\n\n", b"data: []\n\n", b'data: {"choices":5}\n\n', b"data: \xff\n\n"],
)
def test_nonsense_in_a_stream_is_a_failure_behind_what_was_whole(nonsense: bytes):
    thoughts = read(said("Hello. How"), nonsense, said("are you?"))

    assert thoughts[0] == Words("Hello.")
    assert failure_of(thoughts).code == "invalid_answer"
    assert len(thoughts) == 2


@pytest.mark.parametrize("arguments", ["{", "[]", "5", "none"])
def test_arguments_that_are_no_object_are_a_failure(arguments: str):
    call = called(index=0, id="a", function={"name": "hours", "arguments": arguments})

    assert failure_of(read(call, event({}, "tool_calls"))).code == "invalid_answer"


def test_very_many_calls_are_a_failure():
    calls = [called(index=at, id=f"c{at}", function={"name": "hours"}) for at in range(17)]

    assert failure_of(read(*calls)).code == "invalid_answer"


@pytest.mark.parametrize("data", [b"", said("Hello. How"), said("Hello. How").rstrip()])
def test_a_stream_that_breaks_off_is_a_failure(data: bytes):
    assert failure_of(read(data)).code == "connection_lost"


@pytest.mark.parametrize(
    ("data", "code", "message"),
    [
        (b'data: {"error":{"message":"out of memory"}}\n\n', "server_error", "said: out of memory"),
        (b'data: {"error":{"message":"x","code":429}}\n\n', "rate_limit_exceeded", "answered 429: x"),
        (b'data: {"error":{"code":"rate_limit_exceeded"}}\n\n', "rate_limit_exceeded", "said"),
        (b'data: {"object":"error","message":"x","code":400}\n\n', "invalid_request", "answered 400: x"),
        (b'error: {"code":500,"message":"too  long"}\n\n', "server_error", "answered 500: too long"),
        (b'{"error":"no such model"}', "server_error", "said: no such model"),
    ],
)
def test_an_error_in_an_answer_is_a_failure(data: bytes, code: str, message: str):
    failure = failure_of(read(data))

    assert failure.code == code
    assert failure.message == f"The server of the model {message}"


def test_more_than_four_mebibytes_are_a_failure():
    answer = ChatAnswer()

    thoughts = [thought for _ in range(65) for thought in answer.receive(b"data: " + b"x" * (64 << 10))]

    assert failure_of(thoughts).message.endswith("an answer of more than 4 MiB")


# -- any pieces


@given(sizes=st.lists(st.integers(1, 60), max_size=200))
def test_an_answer_does_not_depend_on_the_pieces_that_it_comes_in(sizes: list[int]):
    body = body_of(ChatReply(text="Hello there. How is \u00e9t\u00e9?", calls=[("hours", '{"day":"today"}')]))
    pieces, rest = [], body
    for size in sizes:
        pieces.append(rest[:size])
        rest = rest[size:]

    assert read(*pieces, rest) == read(body)


@given(data=st.lists(st.binary(max_size=40), max_size=10))
def test_any_bytes_end_in_a_failure_and_not_in_an_exception(data: list[bytes]):
    assert isinstance(failure_of(read(b"data: ", *data)), Failure)


# -- the fake


def test_what_the_fake_answers_is_what_openai_answers():
    body = body_of(ChatReply(text="Yes. No.", calls=[("hours", "{}")]))
    events = [text.removeprefix(b"data: ") for text in body.split(b"\n\n") if text]

    chunks = [ChatCompletionChunk.model_validate_json(text) for text in events[:-1]]
    answer = ChatCompletion.model_validate_json(body_of(ChatReply(text="Yes.", streams=False)))

    assert events[-1] == b"[DONE]"
    assert [chunk.choices[0].delta.content for chunk in chunks[:3]] == ["", "Yes. ", "No."]
    assert chunks[-1].choices[0].finish_reason == "tool_calls"
    assert answer.choices[0].message.content == "Yes."
