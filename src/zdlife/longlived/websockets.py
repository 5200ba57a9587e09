"""WebSockets that are told when their instance leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any

from zdlife.errors import Disconnected

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

SERVICE_RESTART = 1012
"""The close code for "the service is restarting; a client may reconnect" (IANA WebSocket Close Code registry)."""
REASON = "this instance is being replaced, please reconnect"


class OpenSockets:
    """The WebSockets of one event loop that are open now.

    `say_goodbye` may be called from any thread; everything else belongs to the loop.
    """

    def __init__(self) -> None:
        self._open: set[Conversation] = set()

    def __len__(self) -> int:
        return len(self._open)

    def say_goodbye(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have every open socket closed with 1012, between two of its messages."""
        if not loop.is_closed():
            loop.call_soon_threadsafe(self._close_all, loop)

    def _close_all(self, loop: asyncio.AbstractEventLoop) -> None:
        for conversation in tuple(self._open):
            conversation.closing = loop.create_task(conversation.close())

    async def hold(self, app: Callable[..., Awaitable[None]], scope: Message, receive: Receive, send: Send) -> None:
        """Run `app` on one WebSocket, which can be told goodbye from its acceptance to its end."""
        conversation = Conversation(receive, send)
        self._open.add(conversation)
        try:
            await app(scope, conversation.receive, conversation.send)
        except Disconnected:
            if not conversation.said_goodbye:
                raise
        finally:
            self._open.discard(conversation)


class Conversation:
    """One WebSocket between the application and the server.

    Messages are sent one at a time, so the close never comes in the middle of one. What the application sends after it
    raises `Disconnected`, an OSError, as the ASGI specification has it for a closed connection (HTTP & WebSocket 2.4).
    """

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._turn = asyncio.Lock()
        self._accepted = False
        self._leaving = False
        self._closed = False
        self.said_goodbye = False
        self.closing: asyncio.Task[None] | None = None

    async def receive(self) -> Message:
        """Return the client's next message; once closed, the server says `websocket.disconnect`."""
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            self._closed = True
        return message

    async def send(self, message: Message) -> None:
        """Send one message of the application's.

        Raises:
            Disconnected: the socket has been told goodbye.
        """
        async with self._turn:
            if self.said_goodbye:
                if message["type"] == "websocket.close":
                    return
                raise Disconnected(REASON)
            await self._send(message)
            if message["type"] == "websocket.close":
                self._closed = True
            if message["type"] == "websocket.accept":
                self._accepted = True
                if self._leaving:
                    await self._say_goodbye()

    async def close(self) -> None:
        """Close with 1012 now, or as soon as the application has accepted; nothing happens if it is closed already."""
        async with self._turn:
            self._leaving = True
            if self._accepted and not self._closed and not self.said_goodbye:
                await self._say_goodbye()

    async def _say_goodbye(self) -> None:
        self.said_goodbye = True
        with suppress(OSError, RuntimeError):  # The client left in the same moment.
            await self._send({"type": "websocket.close", "code": SERVICE_RESTART, "reason": REASON})
