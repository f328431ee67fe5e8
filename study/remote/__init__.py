"""Studies on a cluster: jobs, and commands that its head answers."""

import study.runtime  # noqa: F401  sets what Ray reads when it is imported
