"""Ask an instance how it is, and say it on a terminal.

ask         the facts, from a management port or from the page that spawned workers share
terminal    the same view as the status page, for rich
present     once, again and again, or as JSON; and the exit code
"""
