"""Topics of a broker: messages as the reason for a run, and the newest of them as rows to be looked at.

Read `topics.py` first: a `TopicListener` looks, and commits what was told; a message says that something has happened,
and may name what. `sample.py` has a `TopicSource` for profiles and contracts. No pipeline reads its rows from a topic.
"""

from data_workbench.streaming.sample import TopicSource
from data_workbench.streaming.topics import Look, TopicListener

__all__ = ["Look", "TopicListener", "TopicSource"]
