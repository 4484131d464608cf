"""A client for the Kubernetes API: list, watch, change, with resume; for our own server or a real cluster.

`resources`, `request`, `watch` and `events` are pure: values in, values out. `client` (asyncio, for daemons)
and `sync` (blocking, quick to start, for the commands) send what `request` builds. Objects stay dicts.
"""
