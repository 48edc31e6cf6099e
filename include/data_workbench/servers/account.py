"""Running a server as somebody else when the caller is root, which PostgreSQL refuses.

An existing unprivileged user is taken; none is created. Whether it can reach a file is asked of the kernel,
by a small process running as that user, since the superuser's own folder is closed to it.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path

from data_workbench.errors import FatalError

_PREFERRED = ("nobody", "daemon")


@dataclass(frozen=True)
class Account:
    """An existing user of the machine."""

    name: str
    uid: int
    gid: int

    def popen_options(self) -> dict[str, object]:
        """What subprocess needs to drop to this user."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def can(self, flag: str, path: Path) -> bool:
        """Whether the user passes `test FLAG PATH`, e.g. `-x`."""
        asked = subprocess.run(
            ["/usr/bin/env", "test", flag, str(path)],
            cwd="/",
            check=False,
            user=self.uid,
            group=self.gid,
            extra_groups=[],
        )
        return asked.returncode == 0

    def own(self, folder: Path) -> None:
        """Give a folder and all in it to the user."""
        os.chown(folder, self.uid, self.gid)
        for parent, folders, files in os.walk(folder):
            for name in [*folders, *files]:
                os.chown(Path(parent) / name, self.uid, self.gid, follow_symlinks=False)


def unprivileged_account() -> Account | None:
    """Whom to drop to; None when the caller is not root and no drop is needed.

    Raises:
        FatalError: root, on a machine without any other user.
    """
    if os.geteuid() != 0:
        return None
    users = {user.pw_name: user for user in pwd.getpwall() if user.pw_uid != 0}
    chosen = next((users[name] for name in _PREFERRED if name in users), next(iter(users.values()), None))
    if chosen is None:
        raise FatalError(
            "PostgreSQL refuses to run as root, and this machine has no other user to run it as",
            hint="create one (useradd --system postgres) or run as an ordinary user",
        )
    return Account(name=chosen.pw_name, uid=chosen.pw_uid, gid=chosen.pw_gid)
