"""A network that a visitor brings as a file: which it is, and how it becomes a checkpoint here."""
