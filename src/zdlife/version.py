"""The version of zdlife itself."""

__version__ = "0.1.0"
