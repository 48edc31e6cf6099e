"""Messages of a broker as the reason for a run. Read `topics.py`: a `TopicListener` looks, and commits what was told.

Nothing here reads rows from a topic: a message says that something has happened, and may name what.
"""

from data_workbench.streaming.topics import Look, TopicListener

__all__ = ["Look", "TopicListener"]
