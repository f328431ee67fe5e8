"""Studies on a cluster: jobs, and commands that its head answers."""

import study.runtime  # noqa: F401  what Ray reads when it is imported is set there
