"""The report as one page: no script, nothing fetched from elsewhere, light and dark, wide and
narrow.
"""
