"""The study service: HTTP, tokens and live pages over the studies in one folder.

It has no state of its own: its answers come from the records, and studies run as jobs on Ray. So several
instances can serve one folder, and each can be restarted at any time.
"""
