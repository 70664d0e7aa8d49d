"""Pushes a blessed model to the place where it is served, after checking its files and its predictions."""

from components.pusher.component import EndpointPusher, Pusher

__all__ = ["EndpointPusher", "Pusher"]
