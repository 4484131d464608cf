"""Which flows change their verdict between two sets of policies, among known endpoints, names and ports.

`universe` says who and what is known (or makes it up out of the policies), `changes` compares, `groups` makes it
readable. `decide` is the only judge; what is added here is only which flows need no judging twice.
"""
