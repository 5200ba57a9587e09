"""WebSockets that are told goodbye: once, with 1012, between two messages and never in the middle of one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import pytest

from unit.fakes import Connection, websocket_scope
from zdlife.errors import Disconnected
from zdlife.longlived.websockets import REASON, SERVICE_RESTART, Conversation, OpenSockets

Scope = MutableMapping[str, Any]
App = Callable[..., Awaitable[None]]
ACCEPT = {"type": "websocket.accept"}
HELLO = {"type": "websocket.send", "text": "hello"}
CLOSE = {"type": "websocket.close", "code": 1000}
GOODBYE = {"type": "websocket.close", "code": SERVICE_RESTART, "reason": REASON}


class Slow(Connection):
    """A connection whose sends wait until they are let go."""

    def __init__(self, *received: dict[str, Any]) -> None:
        super().__init__(*received)
        self.sending = asyncio.Event()
        self.let_go = asyncio.Event()

    async def send(self, message: Any) -> None:
        self.sending.set()
        await self.let_go.wait()
        await super().send(message)


async def open_conversation() -> tuple[Conversation, Connection]:
    """Return a conversation that the application has accepted, and its server."""
    connection = Connection()
    conversation = Conversation(connection.receive, connection.send)
    await conversation.send(ACCEPT)
    return conversation, connection


def test_the_reason_fits_a_close_frame() -> None:
    assert len(REASON.encode()) <= 123


def test_messages_pass_in_order() -> None:
    async def main() -> list[dict[str, Any]]:
        conversation, connection = await open_conversation()
        await conversation.send(HELLO)
        await conversation.send(CLOSE)
        return connection.sent

    assert asyncio.run(main()) == [ACCEPT, HELLO, CLOSE]


def test_an_open_socket_is_closed_with_1012() -> None:
    async def main() -> list[dict[str, Any]]:
        conversation, connection = await open_conversation()
        await conversation.close()
        return connection.sent

    assert asyncio.run(main()) == [ACCEPT, GOODBYE]


def test_goodbye_is_said_once() -> None:
    async def main() -> list[dict[str, Any]]:
        conversation, connection = await open_conversation()
        await asyncio.gather(conversation.close(), conversation.close())
        await conversation.close()
        return connection.sent

    assert asyncio.run(main()) == [ACCEPT, GOODBYE]


def test_goodbye_waits_for_the_end_of_a_message() -> None:
    async def main() -> list[dict[str, Any]]:
        connection = Slow()
        conversation = Conversation(connection.receive, connection.send)
        connection.let_go.set()
        await conversation.send(ACCEPT)
        connection.let_go.clear()
        connection.sending.clear()
        sending = asyncio.create_task(conversation.send(HELLO))
        await connection.sending.wait()
        closing = asyncio.create_task(conversation.close())
        await asyncio.sleep(0)
        assert connection.sent == [ACCEPT]
        connection.let_go.set()
        await asyncio.gather(sending, closing)
        return connection.sent

    assert asyncio.run(main()) == [ACCEPT, HELLO, GOODBYE]


def test_no_message_comes_after_goodbye() -> None:
    async def main() -> list[dict[str, Any]]:
        conversation, connection = await open_conversation()
        await conversation.close()
        with pytest.raises(Disconnected):
            await conversation.send(HELLO)
        return connection.sent

    assert asyncio.run(main()) == [ACCEPT, GOODBYE]


def test_the_applications_own_close_after_goodbye_is_let_pass_in_silence() -> None:
    async def main() -> list[dict[str, Any]]:
        conversation, connection = await open_conversation()
        await conversation.close()
        await conversation.send(CLOSE)
        return connection.sent

    assert asyncio.run(main()) == [ACCEPT, GOODBYE]


def test_a_socket_that_the_application_closed_is_not_closed_again() -> None:
    async def main() -> list[dict[str, Any]]:
        conversation, connection = await open_conversation()
        await conversation.send(CLOSE)
        await conversation.close()
        return connection.sent

    assert asyncio.run(main()) == [ACCEPT, CLOSE]


def test_a_socket_that_the_client_closed_is_not_closed_again() -> None:
    async def main() -> list[dict[str, Any]]:
        conversation, connection = await open_conversation()
        connection.inbox.put_nowait({"type": "websocket.disconnect", "code": 1001})
        assert (await conversation.receive())["type"] == "websocket.disconnect"
        await conversation.close()
        return connection.sent

    assert asyncio.run(main()) == [ACCEPT]


def test_a_socket_in_its_handshake_is_told_as_soon_as_it_is_open() -> None:
    async def main() -> list[dict[str, Any]]:
        connection = Connection()
        conversation = Conversation(connection.receive, connection.send)
        await conversation.close()
        assert connection.sent == []
        await conversation.send(ACCEPT)
        return connection.sent

    assert asyncio.run(main()) == [ACCEPT, GOODBYE]


def test_a_socket_that_is_refused_in_its_handshake_is_told_nothing_more() -> None:
    async def main() -> list[dict[str, Any]]:
        connection = Connection()
        conversation = Conversation(connection.receive, connection.send)
        await conversation.close()
        await conversation.send(CLOSE)
        return connection.sent

    assert asyncio.run(main()) == [CLOSE]


def test_a_refusal_in_words_passes_through() -> None:
    denial = [{"type": "websocket.http.response.start", "status": 403, "headers": []}]

    async def main() -> list[dict[str, Any]]:
        connection = Connection()
        conversation = Conversation(connection.receive, connection.send)
        await conversation.send(denial[0])
        await conversation.close()
        return connection.sent

    assert asyncio.run(main()) == denial


@pytest.mark.parametrize("error", [OSError("gone"), RuntimeError("Unexpected ASGI message")])
def test_a_client_that_leaves_in_the_same_moment_is_no_error(error: Exception) -> None:
    async def main() -> bool:
        async def send(message: Any) -> None:
            if message == GOODBYE:
                raise error

        conversation = Conversation(Connection().receive, send)
        await conversation.send(ACCEPT)
        await conversation.close()
        return conversation.said_goodbye

    assert asyncio.run(main())


def test_what_the_server_raises_reaches_the_application() -> None:
    async def main() -> None:
        async def send(message: Any) -> None:
            raise OSError("the client is gone")

        with pytest.raises(OSError, match="the client is gone"):
            await Conversation(Connection().receive, send).send(ACCEPT)

    asyncio.run(main())


# All the sockets of a loop.


async def talking(scope: Scope, receive: Any, send: Any) -> None:
    """Accept, and repeat what is said until the client has gone."""
    await receive()
    await send(ACCEPT)
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


async def held(sockets: OpenSockets, app: App, connection: Connection) -> asyncio.Task[None]:
    """Run `app` until it waits for its client."""
    connection.inbox.put_nowait({"type": "websocket.connect"})
    task = asyncio.create_task(sockets.hold(app, websocket_scope(), connection.receive, connection.send))
    while not connection.inbox.empty() or not connection.sent:
        await asyncio.sleep(0)
    return task


def test_every_open_socket_is_told_from_another_thread() -> None:
    async def main() -> list[list[dict[str, Any]]]:
        sockets, connections = OpenSockets(), [Connection() for _ in range(3)]
        tasks = [await held(sockets, talking, connection) for connection in connections]
        assert len(sockets) == 3

        await asyncio.to_thread(sockets.say_goodbye, asyncio.get_running_loop())
        while not all(GOODBYE in connection.sent for connection in connections):
            await asyncio.sleep(0)
        for connection in connections:
            connection.inbox.put_nowait({"type": "websocket.disconnect", "code": SERVICE_RESTART})
        await asyncio.gather(*tasks)
        assert len(sockets) == 0
        return [connection.sent for connection in connections]

    assert asyncio.run(main()) == [[ACCEPT, GOODBYE]] * 3


def test_a_loop_that_is_closed_is_told_nothing() -> None:
    loop = asyncio.new_event_loop()
    loop.close()

    OpenSockets().say_goodbye(loop)


def test_an_application_that_sends_into_a_socket_told_goodbye_ends_without_an_error() -> None:
    async def main() -> None:
        sockets, connection = OpenSockets(), Connection()
        task = await held(sockets, talking, connection)
        sockets.say_goodbye(asyncio.get_running_loop())
        while GOODBYE not in connection.sent:
            await asyncio.sleep(0)
        connection.inbox.put_nowait({"type": "websocket.receive", "text": "crossing the goodbye"})
        await task

    asyncio.run(main())


def test_an_error_of_the_applications_own_is_heard() -> None:
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        raise ValueError("its own")

    async def main() -> int:
        sockets, connection = OpenSockets(), Connection()
        with pytest.raises(ValueError, match="its own"):
            await sockets.hold(app, websocket_scope(), connection.receive, connection.send)
        return len(sockets)

    assert asyncio.run(main()) == 0


def test_a_disconnection_that_is_not_ours_is_heard() -> None:
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        raise Disconnected("somebody else's")

    async def main() -> None:
        connection = Connection()
        with pytest.raises(Disconnected):
            await OpenSockets().hold(app, websocket_scope(), connection.receive, connection.send)

    asyncio.run(main())
