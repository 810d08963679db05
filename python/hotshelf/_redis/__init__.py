"""A client with the methods of redis.asyncio.

Each file has the commands of one type of value. `client.py` sends them, `pipeline.py` queues
them, and `replies.py` converts what servers reply.
"""

from hotshelf._redis.client import RedisClient
from hotshelf._redis.lock import Lock
from hotshelf._redis.pipeline import Pipeline
from hotshelf._redis.pubsub import PubSub
from hotshelf._redis.script import Script

__all__ = ["Lock", "Pipeline", "PubSub", "RedisClient", "Script"]
