"""The policy editor's server (docs/editor-api.md): the page, the judging of what is typed, and the live cluster."""
