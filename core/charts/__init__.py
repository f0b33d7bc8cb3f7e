"""Altair charts made from tidy data frames: one visual language, defined once in `theme`.

`theme` holds the roles (colour and mark) and the general charts; every page's own charts stand in
a module named after the page. Nothing here imports streamlit or torch.
"""
