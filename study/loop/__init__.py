"""The study loop: who runs next, who stops, and why."""
