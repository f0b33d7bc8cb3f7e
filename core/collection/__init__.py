"""All checkpoints together: recipes, `reproduce`, `check`, and the homeworks' figures."""
