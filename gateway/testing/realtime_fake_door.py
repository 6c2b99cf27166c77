"""Whom the fake Realtime server lets in: as the shipped one, and those with the right key and model alone."""

import math
from collections.abc import Collection

from gateway.contracts import SessionBusy
from gateway.net.exchange import Head
from gateway.voice.embedded.admission import Complaint, model_of, wrong_place

__all__ = ["busy", "complaint_about"]


def complaint_about(head: Head, api_key: str, models: Collection[str] | None) -> Complaint | None:
    """What is wrong with a request, if anything. `models` of None: there is every model."""
    if (complaint := wrong_place(head)) is not None:
        return complaint
    if head.header("authorization") != f"Bearer {api_key}" and head.header("api-key") != api_key:
        return Complaint(401, 3000, "invalid_api_key", "Incorrect API key provided.")
    model = model_of(head)
    if not model:
        return Complaint(400, 4000, "missing_model", "You must provide a model parameter.")
    if models is not None and model not in models:
        message = f"The model `{model}` does not exist or you do not have access to it."
        return Complaint(404, 4004, "model_not_found", message)
    return None


def busy(why: SessionBusy) -> Complaint:
    """Too many requests."""
    headers: tuple[tuple[str, str], ...] = ()
    if why.retry_after_s is not None:
        headers = (("Retry-After", str(math.ceil(why.retry_after_s))),)  # RFC 9110 §10.2.3: whole seconds
    return Complaint(429, 4000, "rate_limit_exceeded", str(why), headers)
