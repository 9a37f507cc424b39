import asyncio

from aiohttp import web

from appstrate.agent.http import Connection


async def test_requests_over_one_connection_wait_for_each_other() -> None:
    async def answer(request: web.Request) -> web.Response:
        await asyncio.sleep(0.01)
        return web.Response(body=await request.read() * 10_000)

    application = web.Application()
    application.router.add_post("/{tail:.*}", answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    connection = Connection(f"http://127.0.0.1:{runner.addresses[0][1]}")
    bodies = [b"%d" % n for n in range(8)]
    answers = await asyncio.gather(*(connection.request("POST", "/", {}, b) for b in bodies))
    await runner.cleanup()

    assert [content for _, content in answers] == [body * 10_000 for body in bodies]
