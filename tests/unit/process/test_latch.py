"""Something that happens once, for threads and for event loops to wait for."""

from __future__ import annotations

import asyncio
import threading

from zdlife.process.latch import Latch


def test_it_is_closed_until_it_is_opened() -> None:
    latch = Latch()
    assert not latch.is_open

    latch.open()

    assert latch.is_open


def test_to_open_it_twice_is_to_open_it_once() -> None:
    latch = Latch()
    latch.open()
    latch.open()

    assert latch.is_open


def test_a_thread_waits_until_it_opens() -> None:
    latch = Latch()
    opener = threading.Thread(target=latch.open)
    opener.start()

    assert latch.wait(5)
    opener.join()


def test_a_thread_waits_no_longer_than_its_limit() -> None:
    assert not Latch().wait(0)


def test_a_task_waits_until_another_thread_opens_it() -> None:
    async def main() -> bool:
        latch = Latch()
        waiting = asyncio.ensure_future(latch.wait_async(5))
        await asyncio.sleep(0)
        threading.Thread(target=latch.open).start()
        return await waiting

    assert asyncio.run(main())


def test_a_task_waits_no_longer_than_its_limit() -> None:
    assert not asyncio.run(Latch().wait_async(0.01))


def test_a_task_does_not_wait_for_what_has_happened() -> None:
    latch = Latch()
    latch.open()

    assert asyncio.run(latch.wait_async(0))


def test_every_task_and_every_thread_goes_on() -> None:
    async def main() -> list[bool]:
        latch = Latch()
        waiting = [latch.wait_async(5) for _ in range(3)] + [asyncio.to_thread(latch.wait, 5) for _ in range(2)]
        asyncio.get_running_loop().call_soon(latch.open)
        return list(await asyncio.gather(*waiting))

    assert asyncio.run(main()) == [True] * 5


def test_a_loop_that_has_closed_meanwhile_is_passed_over() -> None:
    latch = Latch()

    async def impatient() -> None:
        waiting = asyncio.ensure_future(latch.wait_async(60))
        await asyncio.sleep(0)
        waiting.cancel()

    asyncio.run(impatient())
    latch.open()

    assert latch.is_open


def test_a_task_that_was_cancelled_meanwhile_is_passed_over() -> None:
    async def main() -> bool:
        latch = Latch()
        waiting = asyncio.ensure_future(latch.wait_async(60))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        latch.open()
        await asyncio.sleep(0)
        return latch.is_open

    assert asyncio.run(main())
