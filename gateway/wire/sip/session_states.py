"""The states of a call, from an INVITE to a BYE, on either side. RFC 3261 §13 to §15."""

from gateway.wire.sip.steps import OVER, Row, Table

__all__ = ["SESSION"]

# What is done: "bye"; "acknowledge" their 2xx; "quit" our INVITE; and what is told: "confirmed", "ended".
SESSION: Table = {
    "": {"theirs": Row("invited"), "theirs, refused": Row(OVER), "ours": Row("inviting")},
    "invited": {  # RFC 3261 §13.3
        "accept": Row("accepted"),
        "refuse": Row(OVER, ("ended",)),
        "CANCEL": Row(OVER, ("ended",)),
        "BYE": Row(OVER, ("ended",)),
    },
    "accepted": {  # §13.3.1.4; §15: who was called sends no BYE before the ACK
        "ACK": Row("confirmed", ("confirmed",)),
        "leave": Row("leaving", ("ended",)),
        "BYE": Row(OVER, ("ended",)),
        "no answer": Row(OVER, ("bye", "ended")),
        "unacknowledged": Row(OVER, ("bye", "ended")),
    },
    "leaving": {
        "ACK": Row(OVER, ("bye",)),
        "no answer": Row(OVER, ("bye",)),
        "unacknowledged": Row(OVER, ("bye",)),
        "BYE": Row(OVER),
    },
    "inviting": {  # §13.2
        "2xx": Row("taken"),
        "refused": Row(OVER, ("ended",)),
        "leave": Row(OVER, ("quit", "ended")),
        "BYE": Row(OVER, ("quit", "ended")),  # it gave up waiting for an ACK of what we never got
    },
    "taken": {  # the 2xx may have an offer, whose answer is to be in the ACK
        "answer": Row("confirmed", ("acknowledge", "confirmed")),
        "leave": Row(OVER, ("acknowledge", "bye", "ended")),
        "BYE": Row(OVER, ("acknowledge", "ended")),
    },
    "confirmed": {  # §14, §15
        "leave": Row(OVER, ("bye", "ended")),
        "BYE": Row(OVER, ("ended",)),
        "no answer": Row(OVER, ("bye", "ended")),
        "lost": Row(OVER, ("ended",)),  # §12.2.1.2: nobody is there who knew a BYE
        "unacknowledged": Row(OVER, ("bye", "ended")),
    },
}
