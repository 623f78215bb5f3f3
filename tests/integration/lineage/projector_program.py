"""A projector in a process of its own, to be killed: `projector_program.py HOME DATABASE_URL`."""

import asyncio
import sys
from pathlib import Path

from app.bootstrap import open_services
from app.settings import Settings


async def main(home: str, database_url: str) -> None:
    async with open_services(Settings(home=Path(home), database_url=database_url)) as services:
        print("READY", flush=True)
        await services.worker.run(asyncio.Event())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
