"""All commands."""

from __future__ import annotations

from hotshelf._redis._typing import Text
from hotshelf._redis.bits import Bits
from hotshelf._redis.geo import Geo
from hotshelf._redis.hashes import Hashes
from hotshelf._redis.keys import Keys
from hotshelf._redis.lists import Lists
from hotshelf._redis.ranges import Ranges
from hotshelf._redis.scans import Scans
from hotshelf._redis.server import Scripting, Server
from hotshelf._redis.sets import Sets
from hotshelf._redis.sorted_sets import SortedSets
from hotshelf._redis.streams import Groups, Streams
from hotshelf._redis.strings import Strings


class AllCommands(
    Strings[Text],
    Bits[Text],
    Keys[Text],
    Hashes[Text],
    Lists[Text],
    Sets[Text],
    SortedSets[Text],
    Ranges[Text],
    Geo[Text],
    Streams[Text],
    Groups[Text],
    Scans[Text],
    Scripting[Text],
    Server[Text],
):
    """The commonly used commands; `execute_command` sends any other one.

    On a client, each returns a coroutine and costs one round trip. On a pipeline, each is
    queued until `execute`.
    """
