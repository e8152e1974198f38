"""What people look at: tables for the terminal, figures, the HTML page."""

from trainsmith.report.html import report_html, write_report
from trainsmith.report.study_table import family_tables, summary

__all__ = ["family_tables", "report_html", "summary", "write_report"]
