"""Everything private of Pykka that the runtime builds on. An upgrade that moves one fails here."""

import inspect

import pykka
from pykka._envelope import Envelope
from pykka.messages import _ActorStop


def test_the_three_seams_are_where_the_runtime_fills_them() -> None:
    for seam in ("_create_actor_inbox", "_create_future", "_start_actor_loop"):
        assert seam in pykka.Actor.__abstractmethods__
    assert isinstance(inspect.getattr_static(pykka.Actor, "_create_actor_inbox"), staticmethod)
    assert isinstance(inspect.getattr_static(pykka.Actor, "_create_future"), staticmethod)


def test_an_envelope_is_a_message_and_where_to_reply() -> None:
    assert Envelope.__slots__ == ["message", "reply_to"]


def test_a_ref_puts_envelopes_and_stops_with_a_message() -> None:
    assert "self.actor_inbox.put(Envelope(message" in inspect.getsource(pykka.ActorRef.ask)
    assert "_ActorStop()" in inspect.getsource(pykka.ActorRef.stop)
    assert _ActorStop() == ()
