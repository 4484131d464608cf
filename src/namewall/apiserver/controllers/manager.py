from __future__ import annotations


class Manager:
    def __init__(self, writer, config):
        pass

    def start(self):
        pass

    async def stop(self):
        pass
