"""Small Plates' core: everything about network compression that is true without a browser.

Nothing in here imports streamlit. Imports run one way: pages -> core; inside core
serving, training -> compression, models, data, measure -> course.
"""
