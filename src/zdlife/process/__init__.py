"""This process, its siblings and its signals.

Everything here knows one process of one instance and no server: which server runs it, and how that one is told to stop,
is behind `host.Host`. One thread, the monitor, owns the state machine; everybody else posts events to it.
"""
