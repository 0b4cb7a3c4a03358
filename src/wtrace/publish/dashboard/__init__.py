"""`dashboard.html`: the race on one page that opens from disk, on any machine, without a network."""

from wtrace.publish.dashboard.curves import Band, Curves
from wtrace.publish.dashboard.page import dashboard_page

__all__ = ["Band", "Curves", "dashboard_page"]
