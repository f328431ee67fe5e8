"""The study service: HTTP, tokens and live pages over the studies in one folder.

It keeps nothing of its own: what it tells is read from the records, what it runs runs as jobs on Ray. So any
number of instances serve one folder, and each may be ended and started again at any moment.
"""
