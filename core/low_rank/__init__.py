"""Low rank: layers replaced with two or three thinner ones."""
