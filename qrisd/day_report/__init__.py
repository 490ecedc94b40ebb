"""The report of a reconciled day as a table to read, JSON, CSV and a page to print."""
