"""Streamlit pieces that several pages share; nothing here knows a concept."""
