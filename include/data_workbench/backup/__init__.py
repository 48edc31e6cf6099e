"""What is stored of a backup, and how a store gets into it and out again.

A *repository* is a folder or a URL; a *set* in it is one recovery point over all stores:

    repository.json                 what this is, and its id
    chunks/ab/abcdef….age           pieces of content: zstd, then age; named by the SHA-256 of what is in them
    sets/<set>/manifest.json        written last: a set without one was never finished

Read `manifest.py` first, then `vault.py` (the repository), `content.py` (files as chunks), `creation.py` and
`restoring.py`. Each kind of store is one module: `postgres`, `graph` (Neo4j), `vectors` (Qdrant), `rdf`, `objects`
(files), `definitions`. `judging.py` and `watching.py` tell what is wrong with a repository; `locking.py` and
`undeleting.py` are about buckets with Object Lock.

Public names:
    Keyring: recipients to encrypt for, the identity to decrypt with.
    Vault: a repository.
    Manifest: a finished set.
"""

from data_workbench.backup.keys import Keyring
from data_workbench.backup.manifest import Manifest
from data_workbench.backup.vault import Vault

__all__ = ["Keyring", "Manifest", "Vault"]
