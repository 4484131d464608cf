"""The cluster DNS: names of Services and pods, everything else handed to the upstream resolvers.

`records` (the document it is told), `query` and `zone` (question → answer) and `manifest` (the objects that
run it) are pure; `forward`, `reload` and `server` have the sockets and files. It runs as a pod, under policy
like any other, and knows nothing of the agent but the document in its ConfigMap. Imports are few: it is
resident.
"""
