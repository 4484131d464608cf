"""Why a flow is allowed or denied, in steps, and the smallest change of policy that would allow it.

The judge is `policy.decide` alone: everything said here is asked of it, of whole policies, of one rule or of a
part of one. A patch is applied and decided again before anybody sees it.
"""
