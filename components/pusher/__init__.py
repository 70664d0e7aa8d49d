"""Puts a blessed model where it is served from: the one that was evaluated, whole, and seen to answer."""

from components.pusher.component import EndpointPusher, Pusher

__all__ = ["EndpointPusher", "Pusher"]
