"""What people ask of policy documents: is it valid, what is hardly meant, why, what changes, what would be better.

Functions from texts to rows that are JSON, which the command line prints and the editor serves. Pure: who calls reads
the files, asks the cluster and knows the time.
"""
