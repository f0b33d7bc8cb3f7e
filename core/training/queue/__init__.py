"""The queue of trainings: its memory, its processes, what a process does."""
